import type { ChoiceDomain, Domain, NumberDomain, ParameterValue } from './domain.ts'

/** One parameter of a space after groups and variants have been laid flat. */
export interface Dimension {
  /** Names of the groups and variants around it and its own, with dots: `optimizer.adam.beta1`. */
  readonly name: string
  readonly domain: Domain
  /** It exists only where another dimension, which comes before it, has this value; `null`: always. */
  readonly condition: { readonly dimension: number; readonly value: ParameterValue } | null
}

/**
 * Where a value stands in its domain: for a choice its index, for numbers a coordinate from 0 to 1 in the scale of the domain. Of
 * numbers with a step each has an equal part of that range and stands in its middle. `null`: the dimension does not exist here.
 */
export type Coordinate = number | null

/** The coordinates of all dimensions of a space. */
export type Point = readonly Coordinate[]

/** How many values a number with a step can have; `null` without a step. */
export function valueCount({ minimum, maximum, step }: NumberDomain): number | null {
  // The small share takes in a last value that rounding has put just above the maximum.
  return step === null ? null : Math.floor((maximum - minimum) / step + 1e-9) + 1
}

/** How many values a domain has: Infinity for numbers without a step. */
export function size(domain: Domain): number {
  return domain.kind === 'choice' ? domain.values.length : (valueCount(domain) ?? Infinity)
}

/** Bounds in which coordinates are even: logarithms on a log scale; integers reach half a step beyond their ends. */
function range(domain: NumberDomain): [low: number, high: number] {
  const { minimum, maximum, scale, step } = domain
  const count = valueCount(domain)
  const half = step === null ? 0 : step / 2
  const last = count === null ? maximum : minimum + (count - 1) * step!
  return scale === 'log' ? [Math.log(minimum - half), Math.log(last + half)] : [minimum - half, last + half]
}

/** The value of a number domain at a coordinate; coordinates outside of [0, 1] give the nearer end. */
export function numberAt(domain: NumberDomain, coordinate: number): number {
  const [low, high] = range(domain)
  const place = low + (high - low) * Math.min(1, Math.max(0, coordinate))
  const value = domain.scale === 'log' ? Math.exp(place) : place
  if (domain.step === null) {
    const written = domain.digits === undefined ? value : Number(value.toPrecision(domain.digits))
    return Math.min(domain.maximum, Math.max(domain.minimum, written))
  }
  const index = Math.min(valueCount(domain)! - 1, Math.max(0, Math.round((value - domain.minimum) / domain.step)))
  // Multiples of a decimal step such as 0.1 are given as they are written.
  return domain.kind === 'integer' ? domain.minimum + index * domain.step : decimal(domain, index)
}

/**
 * The part of the coordinates that have the same value as a coordinate: `[low, high]`. The first and the last part are open, -Infinity
 * and Infinity. Only for domains with a step.
 */
export function partAt(domain: NumberDomain, coordinate: number): [low: number, high: number] {
  const { minimum, scale, step } = domain
  if (step === null) throw new RangeError(`partAt: numbers from ${minimum} to ${domain.maximum} have no step`)
  const [low, high] = range(domain)
  const index = Math.round((numberAt(domain, coordinate) - minimum) / step)
  const bound = (steps: number) => {
    const value = minimum + steps * step
    return ((scale === 'log' ? Math.log(value) : value) - low) / (high - low)
  }
  return [
    index === 0 ? -Infinity : bound(index - 0.5),
    index === valueCount(domain)! - 1 ? Infinity : bound(index + 0.5),
  ]
}

function decimal({ minimum, step }: NumberDomain, index: number): number {
  return Number((minimum + index * step!).toPrecision(15))
}

/** The value at a coordinate. */
export function valueAt(domain: Domain, coordinate: number): ParameterValue {
  return domain.kind === 'choice' ? domain.values[coordinate]! : numberAt(domain, coordinate)
}

/** The coordinates that give the same value as one of a number with a step, from low to high; `null` without a step. */
export function cell(domain: NumberDomain, coordinate: number): readonly [low: number, high: number] | null {
  if (domain.step === null) return null
  const [low, high] = range(domain)
  const value = numberAt(domain, coordinate)
  const half = domain.step / 2
  const place = (edge: number) => ((domain.scale === 'log' ? Math.log(edge) : edge) - low) / (high - low)
  return [place(value - half), place(value + half)]
}

/**
 * The coordinate of a value.
 *
 * @throws RangeError that names the dimension, the value and what would be right
 */
export function coordinateOf({ name, domain }: Dimension, value: ParameterValue): number {
  if (domain.kind === 'choice') {
    const index = domain.values.indexOf(value)
    if (index >= 0) return index
    throw new RangeError(`${name}: ${JSON.stringify(value)} is not one of ${choices(domain)}`)
  }
  const { minimum, maximum, step } = domain
  if (typeof value !== 'number' || !(value >= minimum && value <= maximum)) {
    throw new RangeError(`${name}: ${JSON.stringify(value)} is not a number from ${minimum} to ${maximum}`)
  }
  if (step !== null) {
    const index = Math.round((value - minimum) / step)
    if (Math.abs(minimum + index * step - value) > 1e-9 * Math.max(Math.abs(value), step)) {
      throw new RangeError(`${name}: ${value} is not ${minimum} plus a multiple of ${step}`)
    }
  }
  return placeOf(domain, value)
}

/** Where a number stands on the scale of a domain: from 0 to 1 between its bounds, and beyond them where it lies outside. */
export function placeOf(domain: NumberDomain, value: number): number {
  const [low, high] = range(domain)
  if (high === low) return 0.5
  return ((domain.scale === 'log' ? Math.log(value) : value) - low) / (high - low)
}

/** A domain that goes further at both ends, by a share of its length on its scale. Only for numbers without a step. */
export function widened(domain: NumberDomain, share: number): NumberDomain {
  const [low, high] = range(domain)
  const more = share * (high - low)
  const [minimum, maximum] = [low - more, high + more]
  return domain.scale === 'log'
    ? { ...domain, minimum: Math.exp(minimum), maximum: Math.exp(maximum) }
    : { ...domain, minimum, maximum }
}

function choices({ values }: ChoiceDomain): string {
  return values.map((value) => JSON.stringify(value)).join(', ')
}
