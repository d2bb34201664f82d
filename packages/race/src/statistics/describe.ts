/** Median of numbers among which there may be infinities; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]!
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]!
  // Interpolating between two infinities would give NaN.
  return lower === upper ? lower : (lower + upper) / 2
}
