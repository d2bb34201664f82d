import { quantileSorted } from 'simple-statistics'

/** Median of numbers among which there may be infinities; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]!
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]!
  // Interpolating between two infinities would give NaN.
  return lower === upper ? lower : (lower + upper) / 2
}

/** Quantile of finite numbers, linearly interpolated. */
export function quantile(values: readonly number[], share: number): number {
  return quantileSorted(
    [...values].sort((a, b) => a - b),
    share,
  )
}

/**
 * Probability beyond each end of an interval. A race is judged by two clocks; 97.5 % for each makes 95 % for both together, so that a
 * race of an optimizer against itself sees a difference by either clock in at most 5 of 100 cases.
 */
export const tail = 0.0125

/** Quantiles at 1 - `tail` of Student's t distribution with 1 to 30 degrees of freedom. */
const studentQuantiles = [
  25.4517, 6.2053, 4.1765, 3.4954, 3.1634, 2.9687, 2.8412, 2.7515, 2.685, 2.6338, 2.5931, 2.56, 2.5326, 2.5096, 2.4899,
  2.4729, 2.4581, 2.445, 2.4334, 2.4231, 2.4138, 2.4055, 2.3979, 2.3909, 2.3846, 2.3788, 2.3734, 2.3685, 2.3638, 2.3596,
]

/** Quantile at 1 - `tail` of the normal distribution. */
export const normalQuantile = 2.241403

/** Quantile at 1 - `tail` of Student's t distribution, within 0.006 above 30 degrees of freedom. */
export function studentQuantile(degrees: number): number {
  // First term of the Cornish-Fisher expansion; exact enough beyond the table.
  return studentQuantiles[degrees - 1] ?? normalQuantile + (normalQuantile ** 3 + normalQuantile) / (4 * degrees)
}
