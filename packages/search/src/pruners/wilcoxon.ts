import { signedRankTail } from '../statistics/signed-rank.ts'
import { bestComplete } from './parts/curve.ts'
import type { Pruner } from './pruner.ts'

/** How sure `wilcoxonPruner` has to be. */
export interface WilcoxonOptions {
  /** Stops below this probability. Default: 0.1. */
  readonly level?: number
  /** So many steps have to be shared with the best trial. Default: 2. */
  readonly least?: number
}

/**
 * Stops a trial that is worse than the best one on the seeds or instances which both have: steps are their numbers, reports their
 * values, and the value of a trial its mean over them. Worse means that Wilcoxon's signed-rank test of the paired differences (Wilcoxon
 * 1945) gives a probability below `level`, and that the mean over the shared steps is worse too. Steps at which either has NaN are left
 * out; equal infinities are no difference.
 *
 * A trial is tested at every report, so over many reports equals are stopped more often than `level` says.
 *
 * @throws RangeError for a level that is not between 0 and 1
 */
export function wilcoxonPruner({ level = 0.1, least = 2 }: WilcoxonOptions = {}): Pruner {
  if (!(level > 0 && level < 1)) throw new RangeError(`wilcoxon: level must be between 0 and 1, not ${level}`)
  return {
    name: 'wilcoxon',
    decide({ ended }, trial) {
      const best = bestComplete(ended.filter(({ number }) => number !== trial.number))
      if (!best) return 'continue'
      const bests = new Map(best.reports.map(({ step, value }) => [step, value]))
      const differences = trial.reports.flatMap(({ step, value }) => {
        const other = bests.get(step)
        if (other === undefined || Number.isNaN(other) || Number.isNaN(value)) return []
        return [value === other ? 0 : value - other]
      })
      if (differences.length < least) return 'continue'
      const isWorse = differences.reduce((sum, difference) => sum + difference, 0) > 0
      return isWorse && signedRankTail(differences) < level ? 'stop' : 'continue'
    },
  }
}
