import { type Arrival, limitedLogRatio } from './ratios.ts'

/** One trial of a study, with all its runs. */
export interface Trial {
  /** `arrivals[seed][target]`; all trials that are compared have the same seeds. */
  readonly arrivals: readonly (readonly Arrival[])[]
  /** Metric after the last step by seed, smaller is better; infinite for a run that did not finish. */
  readonly metrics: readonly number[]
}

/**
 * Trials in order of merit, best first, by the quantity that races are judged by: the mean, over the other trials, their seeds and the
 * targets, of the limited logarithm of the ratio of gradients to the target. Of equals the better mean metric goes first, then the
 * earlier trial.
 *
 * @returns indices of `trials`
 */
export function rank(trials: readonly Trial[]): number[] {
  const merit = trials.map((mine) =>
    trials.reduce((sum, other) => {
      if (other === mine) return sum
      return mine.arrivals.reduce(
        (part, row, seed) =>
          row.reduce((inner, { by }, target) => inner + limitedLogRatio(by, other.arrivals[seed]![target]!.by), part),
        sum,
      )
    }, 0),
  )
  const metric = trials.map(({ metrics }) => metrics.reduce((sum, value) => sum + value, 0) / metrics.length)
  const order = trials.map((_, index) => index)
  const compare = (a: number, b: number) => (a === b ? 0 : a - b)
  return order.sort((a, b) => {
    const difference = merit[b]! - merit[a]!
    // Sums of the same numbers in another order differ in their last digits.
    if (Math.abs(difference) > 1e-9) return difference
    return compare(metric[a]!, metric[b]!) || a - b
  })
}
