import { bestUpTo } from './parts/curve.ts'
import type { Pruner } from './pruner.ts'

/** When a trial is compared with those before it. */
export interface ComparisonOptions {
  /** So many complete trials with reports are needed before any is stopped. Default: 5. */
  readonly startup?: number
  /** Up to this step no trial is stopped. Default: 0. */
  readonly warmup?: number
}

/**
 * Stops a trial whose best report so far is worse than a percentile of the best reports that complete trials had by the same step
 * (Golovin et al. 2017, Google Vizier, KDD; 50 is the median rule). Trials need not have reported at the same steps: what counts is
 * what each had reported by then. NaN counts as no report, and a trial that has nothing but NaN as worse than every other one.
 *
 * @param percentile share of the complete trials, in percent, that a trial has to be among; between two of them the line is straight
 * @throws RangeError for a percentile that is not from 0 to 100
 */
export function percentilePruner(percentile = 25, { startup = 5, warmup = 0 }: ComparisonOptions = {}): Pruner {
  if (!(percentile >= 0 && percentile <= 100)) {
    throw new RangeError(`percentile: must be from 0 to 100, not ${percentile}`)
  }
  return {
    name: 'percentile',
    decide({ ended }, trial) {
      const last = trial.reports.at(-1)
      if (!last || last.step <= warmup) return 'continue'
      const others = ended.flatMap((other) => {
        const best = other.state === 'complete' && other.number !== trial.number ? bestUpTo(other, last.step) : null
        return best === null ? [] : [best]
      })
      if (others.length < Math.max(1, startup)) return 'continue'
      const own = bestUpTo(trial, last.step)
      return own === null || own > percentileOf(others, percentile) ? 'stop' : 'continue'
    },
  }
}

function percentileOf(values: readonly number[], percentile: number): number {
  const sorted = [...values].sort((a, b) => (a === b ? 0 : a - b))
  const place = (percentile / 100) * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!]
  // Between infinities a line has no middle.
  return low === high ? low : low + (high - low) * (place - Math.floor(place))
}
