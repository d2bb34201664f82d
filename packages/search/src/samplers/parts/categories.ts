import type { Random } from '../../random.ts'

/** Even probabilities. */
export function even(count: number): number[] {
  return new Array<number>(count).fill(1 / count)
}

/** One index for each list of probabilities. */
export function pickEach(probabilities: readonly (readonly number[])[], random: Random): number[] {
  return probabilities.map((each) => random.weighted(each))
}

/**
 * Moves probabilities towards what good trials picked, and keeps each at or above a margin so that no value dies out:
 * `q = q + rate (sum_i w_i onehot(pick_i) - q)`, the natural gradient of a categorical distribution, with the margin
 * `(1 - 0.73^(1 / choices)) / (count - 1)` of CatCMA (Hamano, Saito, Nomura, Uchida, Shirakawa 2024, arXiv 2405.09962).
 *
 * @param picks what was picked, best first; `null` where the choice did not exist
 * @param weights of the picks
 * @param choices how many choices there are in all
 */
export function towards(
  probabilities: readonly number[],
  picks: readonly (number | null)[],
  weights: readonly number[],
  rate: number,
  choices: number,
): number[] {
  const count = probabilities.length
  const gained = new Array<number>(count).fill(0)
  let total = 0
  for (const [index, pick] of picks.entries()) {
    const weight = weights[index] ?? 0
    if (pick === null || weight <= 0) continue
    gained[pick]! += weight
    total += weight
  }
  if (total === 0) return [...probabilities]
  const moved = probabilities.map((probability, index) => probability + rate * (gained[index]! / total - probability))
  const least = (1 - 0.73 ** (1 / choices)) / (count - 1)
  const raised = moved.map((probability) => Math.max(least, probability))
  const excess = raised.reduce((sum, probability) => sum + probability, 0) - 1
  const room = raised.reduce((sum, probability) => sum + probability - least, 0)
  return raised.map((probability) => probability - (excess * (probability - least)) / room)
}
