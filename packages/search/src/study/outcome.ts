import type { Ending } from '../storage/storage.ts'
import type { Objective } from './view.ts'

/** What an objective gives: the value, several values, or these with what else was found out. */
export type Outcome = number | readonly number[] | FullOutcome

interface FullOutcome {
  readonly values: number | readonly number[]
  /** At most 0 is met. */
  readonly constraints?: Readonly<Record<string, number>>
  /** What it cost, in a unit of the study's own, for example seconds. */
  readonly cost?: number
}

/**
 * An outcome as it is kept.
 *
 * @throws TypeError for what is no number, RangeError for NaN and for another number of values than objectives
 */
export function checkedOutcome(
  outcome: Outcome,
  objectives: readonly Objective[],
  trial: number,
): Pick<Ending, 'values' | 'constraints' | 'cost'> {
  const { values: given, constraints = {}, cost = null } = isFull(outcome) ? outcome : { values: outcome }
  const values = typeof given === 'object' && given !== null ? [...given] : [given]
  const named = [
    ...values.map((value, index) => [objectives[index]?.name ?? `value ${index + 1}`, value] as const),
    ...Object.entries(constraints),
    ...(cost === null ? [] : [['cost', cost] as const]),
  ]
  for (const [name, value] of named) {
    if (typeof value !== 'number') {
      throw new TypeError(`trial ${trial}: ${name} must be a number, not ${JSON.stringify(value)}`)
    }
    if (Number.isNaN(value)) {
      throw new RangeError(`trial ${trial}: ${name} is NaN; a trial without a result is told as failed`)
    }
  }
  if (values.length !== objectives.length) {
    const names = objectives.map(({ name }) => name).join(', ')
    throw new RangeError(`trial ${trial}: ${values.length} values for ${objectives.length} objectives, ${names}`)
  }
  return { values, constraints, cost }
}

function isFull(outcome: Outcome): outcome is FullOutcome {
  return typeof outcome === 'object' && outcome !== null && 'values' in outcome && !Array.isArray(outcome)
}
