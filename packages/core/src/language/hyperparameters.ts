import type { HyperValue } from '../schedules/schedule.ts'

/** The values of a hyperparameter that make sense. */
export interface HyperRange {
  /** The smallest valid value. */
  readonly minimum: number
  /** The largest valid value. */
  readonly maximum: number
  /** True when `minimum` itself is not valid. */
  readonly aboveMinimum: boolean
  /** True when `maximum` itself is not valid. */
  readonly belowMaximum: boolean
  /** True when only whole numbers are valid. */
  readonly whole?: boolean
  /** Rules are given at least this, whatever was set: what keeps a divisor from being 0. */
  readonly floor?: number
}

/** A number that an optimizer can be set to, with its default and the values that make sense. */
export interface Hyperparameter extends HyperRange {
  readonly default: number
}

/** Pairs of hyperparameters of which the first must not be above the second. */
export type Ordered<H extends string = string> = readonly (readonly [smaller: H, larger: H])[]

/** Where a tuner looks for a hyperparameter: an interval, on a logarithmic or linear scale, or a list of values. */
export type SearchRange =
  | { readonly scale: 'log' | 'linear'; readonly minimum: number; readonly maximum: number }
  | { readonly scale: 'choice'; readonly values: readonly number[] }

function hyperparameter(
  value: number,
  minimum: number,
  maximum: number,
  above: boolean,
  below: boolean,
): Hyperparameter {
  return { default: value, minimum, maximum, aboveMinimum: above, belowMaximum: below }
}

/** Any finite number above zero: clipping thresholds, scales. */
export function positive(value: number): Hyperparameter {
  return hyperparameter(value, 0, Number.POSITIVE_INFINITY, true, false)
}

/**
 * What is added to a divisor: zero or any number above. Zero counts as 1e-30, which changes no quotient of numbers above
 * 1e-22 and makes 0 / 0 zero instead of NaN.
 */
export function smallDivisor(value: number): Hyperparameter {
  return { ...nonNegative(value), floor: 1e-30 }
}

/** Zero or any number above: learning rates (zero stands still), weight decay. */
export function nonNegative(value: number): Hyperparameter {
  return hyperparameter(value, 0, Number.POSITIVE_INFINITY, false, false)
}

/** A decay rate of an average: from 0 to below 1. */
export function decayRate(value: number): Hyperparameter {
  return hyperparameter(value, 0, 1, false, true)
}

/** From 0 to 1, both included. */
export function fraction(value: number): Hyperparameter {
  return hyperparameter(value, 0, 1, false, false)
}

/** Any number. */
export function real(value: number): Hyperparameter {
  return hyperparameter(value, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, false, false)
}

/** A number of steps: a whole number from 1 up. */
export function stepCount(value: number): Hyperparameter {
  return { ...hyperparameter(value, 1, Number.POSITIVE_INFINITY, false, false), whole: true }
}

/** Where random numbers start: a whole number from 0 up, below 2³². */
export function seed(value = 0): Hyperparameter {
  return { ...hyperparameter(value, 0, 2 ** 32 - 1, false, false), whole: true }
}

/** A search interval on a logarithmic scale. */
export function logUniform(minimum: number, maximum: number): SearchRange {
  return { scale: 'log', minimum, maximum }
}

/** A search interval on a linear scale. */
export function uniform(minimum: number, maximum: number): SearchRange {
  return { scale: 'linear', minimum, maximum }
}

/** A list of values to search. */
export function oneOf(...values: readonly number[]): SearchRange {
  return { scale: 'choice', values }
}

/** What is valid, in words: `a number from 0 to below 1`. */
export function describeRange(range: HyperRange): string {
  const { minimum, maximum, aboveMinimum, belowMaximum, whole = false } = range
  const low = minimum === Number.NEGATIVE_INFINITY ? '' : aboveMinimum ? ` above ${minimum}` : ` from ${minimum}`
  const high = maximum === Number.POSITIVE_INFINITY ? '' : belowMaximum ? ` to below ${maximum}` : ` to ${maximum}`
  if (!low && !high) return 'any number'
  return `a ${whole ? 'whole ' : ''}number${low}${high || (aboveMinimum ? '' : ' up')}`
}

/**
 * Checks one value.
 * @throws Error that names the optimizer, the hyperparameter, the value and what would be valid.
 */
export function validateHyperparameter(owner: string, name: string, value: number, range: HyperRange): void {
  const { minimum, maximum, aboveMinimum, belowMaximum, whole = false } = range
  const fits =
    (whole ? Number.isSafeInteger(value) : Number.isFinite(value)) &&
    (aboveMinimum ? value > minimum : value >= minimum) &&
    (belowMaximum ? value < maximum : value <= maximum)
  if (!fits) throw new Error(`${owner}: ${name} must be ${describeRange(range)}, not ${String(value)}`)
}

/** @throws Error when a number is above another that it must not exceed; schedules give theirs later */
export function checkOrder(
  { title, ordered = [] }: { readonly title: string; readonly ordered?: Ordered | undefined },
  given: (name: string) => HyperValue,
): void {
  for (const [smaller, larger] of ordered) {
    const [low, high] = [given(smaller), given(larger)]
    if (typeof low === 'number' && typeof high === 'number' && low > high)
      throw new Error(
        `${title}: ${smaller} must not be above ${larger}, but ${smaller} is ${low} and ${larger} is ${high}`,
      )
  }
}
