import { normalCumulative } from '../../statistics/normal.ts'

/** How many standard deviations above the mean a normal variable is with this probability, below one half. */
export function deviationsAbove(probability: number): number {
  let [low, high] = [0, 40]
  for (let turn = 0; turn < 60; turn++) {
    const middle = (low + high) / 2
    if (1 - normalCumulative(middle) > probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/**
 * Keeps the values beside the one at the mean possible: moves mean and deviation of a normal distribution so that each neighbouring part
 * has at least the probability `alpha / 2`, or `alpha` where there is one neighbour alone (Hamano, Saito, Nomura, Shirakawa 2022, CMA-ES
 * with Margin, arXiv 2205.13482).
 *
 * @param part the bounds of the part in which the mean is; infinite where there is no neighbour
 */
export function withMargin(
  mean: number,
  deviation: number,
  [low, high]: readonly [low: number, high: number],
  alpha: number,
): [mean: number, deviation: number] {
  if (low === -Infinity && high === Infinity) return [mean, deviation]
  if (low === -Infinity || high === Infinity) {
    const reach = deviationsAbove(alpha) * deviation
    return [low === -Infinity ? Math.max(mean, high - reach) : Math.min(mean, low + reach), deviation]
  }
  const below = normalCumulative((low - mean) / deviation)
  const above = 1 - normalCumulative((high - mean) / deviation)
  const middle = 1 - below - above
  const [raisedBelow, raisedAbove] = [Math.max(alpha / 2, below), Math.max(alpha / 2, above)]
  const excess = (1 - raisedBelow - raisedAbove - middle) / (raisedBelow + raisedAbove + middle - (3 * alpha) / 2)
  const [toLow, toHigh] = [raisedBelow, raisedAbove].map((probability) =>
    deviationsAbove(Math.min(0.5, probability + excess * (probability - alpha / 2))),
  ) as [number, number]
  return [(low * toHigh + high * toLow) / (toLow + toHigh), (high - low) / (toLow + toHigh)]
}
