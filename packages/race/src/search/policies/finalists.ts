import type { Job, Snapshot } from '../policy.ts'
import { finalMetric, jobsTo, meanFinal, type Runs, sortedBy } from './measure.ts'

/** What the finalists stage says: what to run next, and who is still in, best first. */
export interface Finals {
  /** None when the stage has ended; then the first of `alive` has won. */
  readonly jobs: readonly Job[]
  readonly alive: readonly number[]
}

/**
 * Finalists on more seeds: of the entrants that finished on the first seed the best run on a second, the best of these on a third, and so
 * on. The order is always that of the mean over the seeds that all of them have, which is the quantity that is judged.
 *
 * @param ladder how many run on the second seed, the third, and so on; does not rise
 */
export function finals(snapshot: Snapshot, runs: Runs, entrants: readonly number[], ladder: readonly number[]): Finals {
  let alive = sortedBy(
    entrants.filter((candidate) => Number.isFinite(finalMetric(runs.get(candidate)?.get(0)))),
    (candidate) => meanFinal(runs, candidate, 1),
  )
  for (const [index, count] of ladder.entries()) {
    const seed = index + 1
    alive = alive.slice(0, count)
    const jobs = jobsTo(runs, alive, seed, snapshot.horizon)
    if (jobs.length > 0) return { jobs, alive }
    alive = sortedBy(alive, (candidate) => meanFinal(runs, candidate, seed + 1))
  }
  return { jobs: [], alive }
}

/**
 * The ladder that fits into some full runs: as many finalists as possible, two thirds of them on each further seed, down to two, on at
 * most four further seeds. 9 runs make 4, 3, 2; 18 make 8, 5, 3, 2.
 */
export function ladderFor(runs: number): number[] {
  let best: number[] = []
  for (let finalists = 2; ; finalists++) {
    const ladder: number[] = []
    for (let count = finalists; count >= 2 && ladder.length < 4; count = Math.round((count * 2) / 3 - 0.01))
      ladder.push(count)
    if (ladder.reduce((sum, count) => sum + count, 0) > runs) return best
    best = ladder
  }
}

/** The baseline's own tuning: its settings that are run in full on the first seed, and how many of the best run on further ones. */
export interface BaselineTuning {
  readonly settings: readonly number[]
  readonly ladder: readonly number[]
}

/**
 * What the baseline does with its guaranteed runs: every setting once; what is left runs the best two on further seeds. Where the runs do
 * not suffice for every setting, half of them go to the best by prior and the rest to the others in their order, so that a prior that is
 * wrong about the baseline does not decide alone.
 */
export function baselineTuning({ candidates, baseline }: Snapshot): BaselineTuning {
  const all = candidates.flatMap(({ group }, index) => (group === baseline.group ? [index] : []))
  const trusted = sortedBy(all, (index) => candidates[index]!.prior ?? Infinity).slice(
    0,
    Math.ceil(baseline.guaranteed / 2),
  )
  const settings = [...new Set([...trusted, ...all])].slice(0, baseline.guaranteed)
  const left = Math.floor((baseline.guaranteed - settings.length) / 2)
  return { settings, ladder: Array<number>(left).fill(2) }
}

/** Most full runs that the baseline is guaranteed: one for each setting of the recorded table. */
const mostGuaranteed = 8

/**
 * Full runs that the baseline should be guaranteed of a budget: a third of it, at most 8, at least 1.
 *
 * @param runs full runs that may be spent in all
 */
export function guaranteedRuns(runs: number): number {
  return Math.max(1, Math.min(mostGuaranteed, Math.floor(runs / 3)))
}
