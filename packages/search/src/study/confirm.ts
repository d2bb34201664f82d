import { wholeFrom } from '../check.ts'
import { random } from '../random.ts'
import { studentQuantile } from '../statistics/student.ts'
import { feasible } from './best.ts'
import type { Objective as Evaluate } from './optimize.ts'
import { checkedOutcome } from './outcome.ts'
import type { Trial, Working } from './run.ts'
import type { TrialRecord } from './trial.ts'
import { signOf } from './view.ts'

/** How winners are run again. */
export interface ConfirmOptions {
  /** How many of the best trials. Default: 1. */
  readonly top?: number
  /** How often each. Default: 5; at least 2. */
  readonly seeds?: number
}

/** How good a trial is on fresh seeds. */
export interface Confirmation {
  readonly trial: TrialRecord
  /** The value that made it one of the best. */
  readonly selected: number
  /** It was among the best of so many. */
  readonly of: number
  /** The values on fresh seeds. */
  readonly values: readonly number[]
  readonly mean: number
  /** Of the mean, by Student's distribution, at 95 % for all trials that are confirmed together (Bonferroni). */
  readonly interval: readonly [low: number, high: number]
}

/** Runs the best trials of a study again: what `Study.confirm` does. */
export async function confirmed<Values>(
  study: Working<Values>,
  objective: Evaluate<Values>,
  { top = 1, seeds = 5 }: ConfirmOptions,
): Promise<readonly Confirmation[]> {
  wholeFrom('confirm', 'top', top, 1)
  if (!Number.isSafeInteger(seeds) || seeds < 2) {
    throw new RangeError(`confirm: seeds must be a whole number from 2, so that there is an interval, not ${seeds}`)
  }
  if (study.record.objectives.length > 1) throw new RangeError(`confirm: '${study.record.name}' has several objectives`)
  const { direction } = study.record.objectives[0]!
  const sign = signOf(direction)
  const complete = feasible(await study.trials())
  const best = complete.toSorted((a, b) => sign * (a.values![0]! - b.values![0]!) || a.number - b.number).slice(0, top)
  if (best.length === 0)
    throw new RangeError(`confirm: '${study.record.name}' has no complete trial that meets its constraints`)
  const confirmations: Confirmation[] = []
  for (const record of best) {
    const values: number[] = []
    for (let index = 0; index < seeds; index++) {
      const seed = random(study.record.seed, `confirmation ${index} of trial ${record.number}`).integer(1, 999_999_999)
      const outcome = await objective(rerun(study, record, seed))
      if (outcome === 'stopped')
        throw new Error(`confirm: the objective stopped trial ${record.number}, which nothing told it to`)
      const value = checkedOutcome(outcome, study.record.objectives, record.number).values![0]!
      values.push(value)
    }
    const mean = values.reduce((sum, value) => sum + value, 0) / seeds
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (seeds - 1))
    const half = (studentQuantile(0.05 / best.length, seeds - 1) * deviation) / Math.sqrt(seeds)
    const confirmation: Confirmation = {
      trial: record,
      selected: record.values![0]!,
      of: complete.length,
      values,
      mean,
      interval: [mean - half, mean + half],
    }
    confirmations.push(confirmation)
    await study.storage.annotate(study.record.name, record.number, 'confirmation', {
      values,
      mean,
      interval: confirmation.interval,
    })
  }
  return confirmations
}

function rerun<Values>(study: Working<Values>, record: TrialRecord, seed: number): Trial<Values> {
  return {
    number: record.number,
    parameters: study.space.values(record.point),
    seed,
    until: null,
    from: 0,
    signal: new AbortController().signal,
    record,
    report: async () => 'continue',
    annotate: async () => {},
  }
}
