import type { NumberDomain, Parameter } from '@fallline/search'
import { numberAt, parameterOf, placeOf, valueAt as valueIn, widened } from '@fallline/search/internal'
import type { SearchRange } from 'fallline'
import type { PointSequence } from './sequence.ts'

/** Numeric values of the tuned hyperparameters of one trial. */
export type Setting = Readonly<Record<string, number>>

/** The hyperparameters a contender is tuned over, each with its range. */
export type SearchSpace = Readonly<Record<string, SearchRange>>

/** Values that are valid, whatever the ranges say. */
export type Limits = Readonly<
  Record<
    string,
    {
      readonly minimum: number
      readonly maximum: number
      readonly aboveMinimum: boolean
      readonly belowMaximum: boolean
    }
  >
>

/** Share of a range, in its scaled coordinate, that counts as its edge. */
export const edgeShare = 0.05

/**
 * Checks a search range.
 *
 * @throws RangeError that names the contender, the hyperparameter and what would be right
 */
export function checkSpace(contender: string, space: SearchSpace): void {
  if (space.learningRate === undefined) {
    throw new RangeError(`${contender}: no search range for learningRate, which every contender must tune`)
  }
  for (const [name, range] of Object.entries(space)) {
    const where = `${contender}: search range of ${name}`
    if (range.scale === 'choice') {
      if (range.values.length === 0 || !range.values.every(Number.isFinite)) {
        throw new RangeError(`${where}: values must be at least one finite number, not [${range.values.join(', ')}]`)
      }
    } else if (range.scale === 'log' || range.scale === 'linear') {
      const least = range.scale === 'log' ? 'minimum greater than 0' : 'finite minimum'
      const good = Number.isFinite(range.minimum) && Number.isFinite(range.maximum) && range.minimum < range.maximum
      if (!good || (range.scale === 'log' && range.minimum <= 0)) {
        throw new RangeError(
          `${where}: from ${range.minimum} to ${range.maximum} is no ${range.scale} range; it needs a ${least} and a maximum above it`,
        )
      }
    } else {
      throw new RangeError(
        `${where}: scale must be 'log', 'linear' or 'choice', not '${(range as { scale: string }).scale}'`,
      )
    }
  }
}

/** Significant digits of a value, so that the printed value is the one that ran. */
const digits = 4

/** A range as a parameter of a space of `@fallline/search`. */
export function rangeParameter(range: SearchRange): Parameter<number> {
  return parameterOf(range, { digits })
}

/** By how much of itself a range can be left at either end. */
const beyond = 0.5

/**
 * The same with the values that lie beyond a range as well, as far as trials may go.
 *
 * @param limits values that are valid
 */
export function widenedParameter(range: SearchRange, limits?: Limits[string]): Parameter<number> {
  const { domain } = rangeParameter(range)
  if (domain.kind === 'choice') return { domain }
  const wide = widened(domain, beyond)
  const { minimum = -Infinity, maximum = Infinity } = limits ?? {}
  return { domain: { ...wide, minimum: Math.max(minimum, wide.minimum), maximum: Math.min(maximum, wide.maximum) } }
}

/**
 * The value at a coordinate of a range, rounded to four digits.
 *
 * @param u coordinate in [0, 1)
 */
export function valueAt(range: SearchRange, u: number): number {
  const { domain } = rangeParameter(range)
  return valueIn(domain, domain.kind === 'choice' ? Math.floor(u * domain.values.length) : u) as number
}

/** The value at any position of a range, from half of it below to half of it above: the inverse of `positionOf`, rounded to four digits. */
export function valueAtPosition(range: Exclude<SearchRange, { scale: 'choice' }>, u: number): number {
  return numberAt(widenedParameter(range).domain as NumberDomain, (u + beyond) / (1 + 2 * beyond))
}

/** Where a value lies in its range: 0 at the minimum, 1 at the maximum, in the scale of the range. `undefined` for a choice. */
export function positionOf(range: SearchRange, value: number): number | undefined {
  const { domain } = rangeParameter(range)
  return domain.kind === 'choice' ? undefined : placeOf(domain, value)
}

/** The setting at a point of a sequence: every hyperparameter at its coordinate. */
export function settingAt(space: SearchSpace, sequence: PointSequence, index: number): Setting {
  const setting: Record<string, number> = {}
  for (const [name, range] of Object.entries(space)) setting[name] = valueAt(range, sequence.coordinate(name, index))
  return setting
}

/** Whether two spaces have the same hyperparameters and ranges. */
export function sameSpace(first: SearchSpace, second: SearchSpace): boolean {
  const names = Object.keys(first)
  return (
    names.length === Object.keys(second).length &&
    names.every((name) => second[name] !== undefined && sameRange(first[name]!, second[name]))
  )
}

function sameRange(first: SearchRange, second: SearchRange): boolean {
  if (first.scale === 'choice' || second.scale === 'choice') {
    return (
      first.scale === second.scale &&
      String((first as { values?: readonly number[] }).values) ===
        String((second as { values?: readonly number[] }).values)
    )
  }
  return first.scale === second.scale && first.minimum === second.minimum && first.maximum === second.maximum
}
