import type { Report } from '../study/trial.ts'
import type { SeenTrial, View } from '../study/view.ts'
import type { Pruner } from './pruner.ts'

/** Where the rungs of `successiveHalvingStop` are. */
export interface StoppingOptions {
  /** Step of the first rung. Default: the minimum of the study's resource, 1 without one. */
  readonly minimum?: number
  /** Of the trials at a rung the best of each so many go on, and the next rung is so many times as far. Default: 4. */
  readonly eta?: number
  /** So many of the lowest rungs are left out. Default: 0. */
  readonly skip?: number
}

/**
 * Successive halving without waiting, in the form that stops (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning,
 * arXiv 1810.05934): rung k is at step `minimum eta^(skip + k)`; a trial that comes to it goes on if it is among the best
 * floor(n / eta) of the n that have come there so far, or the best; equals are let on. Its value at a rung is the first that it reports
 * there or later; NaN is stopped at a rung and left alone between rungs.
 *
 * A trial that passes several rungs with one report comes to each of them only if the one before lets it on; that was then decided by
 * the trials that had begun before it.
 *
 * @throws RangeError for eta that is not a whole number from 2, a minimum that is not above 0 and rungs to skip that are not whole
 */
export function successiveHalvingStop(options: StoppingOptions = {}): Pruner {
  check(options)
  return {
    name: 'successiveHalvingStop',
    decide(view, trial) {
      if (trial.reports.length === 0) return 'continue'
      return climb(view, trial, options).stopped ? 'stop' : 'continue'
    },
  }
}

/** How many rungs a trial has come to by its reports. */
export function rungsReached(view: View, trial: SeenTrial, options: StoppingOptions = {}): number {
  return climb(view, trial, options).values.length
}

function check({ minimum = 1, eta = 4, skip = 0 }: StoppingOptions): void {
  if (!Number.isSafeInteger(eta) || eta < 2) throw new RangeError(`eta must be a whole number from 2, not ${eta}`)
  if (!(minimum > 0 && minimum < Infinity)) throw new RangeError(`minimum must be above 0, not ${minimum}`)
  if (!Number.isSafeInteger(skip) || skip < 0) throw new RangeError(`skip must be a whole number from 0, not ${skip}`)
}

/** The values of a trial at the rungs it has come to, and whether the last one stops it. */
interface Climb {
  readonly values: readonly number[]
  readonly stopped: boolean
}

function climb(view: View, trial: SeenTrial, options: StoppingOptions): Climb {
  const { minimum = view.resource?.minimum ?? 1, eta = 4, skip = 0 } = options
  const rungs: number[] = []
  for (let rung = minimum * eta ** skip; rung <= (trial.reports.at(-1)?.step ?? 0); rung *= eta) rungs.push(rung)
  const others: Climb[] = []
  const climbOf = (each: SeenTrial, isAsked: boolean): Climb => {
    const values: number[] = []
    let before: Report | undefined
    for (const rung of rungs) {
      const report = each.reports.find(({ step }) => step >= rung)
      if (!report) break
      // With a report between two rungs it was let on by the lower one: it would not have gone on otherwise.
      if (before === report && !isAmong(others, values, eta)) return { values, stopped: true }
      values.push(report.value)
      before = report
    }
    const isNew = isAsked && before === each.reports.at(-1) && values.length > 0
    return { values, stopped: isNew && !isAmong(others, values, eta) }
  }
  const known = [...view.ended, ...view.open].filter(({ number }) => number !== trial.number)
  for (const other of known.sort((a, b) => a.number - b.number)) others.push(climbOf(other, false))
  return climbOf(trial, true)
}

/** Whether the last of some values is good enough at its rung. */
function isAmong(others: readonly Climb[], values: readonly number[], eta: number): boolean {
  const rung = values.length - 1
  const own = values[rung]!
  if (Number.isNaN(own)) return false
  const rivals = others.flatMap((other) => (rung < other.values.length ? [other.values[rung]!] : []))
  const better = rivals.filter((value) => value < own).length
  return better < Math.max(1, Math.floor((rivals.length + 1) / eta))
}
