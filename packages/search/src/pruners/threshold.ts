import type { Pruner } from './pruner.ts'

/** Bounds of what a trial may report, in the direction in which the objective is written. */
export interface ThresholdOptions {
  /** Default: -Infinity. */
  readonly lower?: number
  /** Default: Infinity. */
  readonly upper?: number
  /** Up to this step no trial is stopped. Default: 0. */
  readonly warmup?: number
}

/**
 * Stops a trial that reports a value outside of bounds, or NaN; without bounds NaN alone.
 *
 * @throws RangeError when the lower bound is not below the upper one
 */
export function thresholdPruner({ lower = -Infinity, upper = Infinity, warmup = 0 }: ThresholdOptions = {}): Pruner {
  if (!(lower < upper)) throw new RangeError(`threshold: lower must be below upper, not ${lower} and ${upper}`)
  return {
    name: 'threshold',
    decide({ objectives: [objective] }, { reports }) {
      const last = reports.at(-1)
      if (!last || last.step <= warmup) return 'continue'
      const value = objective!.direction === 'minimize' ? last.value : -last.value
      return value >= lower && value <= upper ? 'continue' : 'stop'
    },
  }
}
