import { normalCumulative } from './normal.ts'

/** Differences up to which the distribution is counted out. */
const exact = 60

/**
 * Wilcoxon's signed-rank test (Wilcoxon 1945, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1): the probability that
 * differences whose signs are even chances have positive ranks of at least the sum that these have. Small where they tend to be above 0.
 *
 * Equal sizes share their mean rank; zeros take part in the ranks and give half of theirs to either side. Exact, ties included, for up
 * to 60 differences; beyond that by the normal distribution with the correction for continuity. NaN must not be among them.
 */
export function signedRankTail(differences: readonly number[]): number {
  const sizes = differences.map(Math.abs)
  const order = sizes.map((_, index) => index).sort((a, b) => (sizes[a] === sizes[b] ? 0 : sizes[a]! - sizes[b]!))
  // Twice the ranks, which are whole numbers also where they are shared.
  const ranks = new Array<number>(sizes.length)
  for (let first = 0; first < order.length; ) {
    let next = first
    while (next < order.length && sizes[order[next]!] === sizes[order[first]!]) next++
    for (let place = first; place < next; place++) ranks[order[place]!] = first + next + 1
    first = next
  }
  const moving = ranks.filter((_, index) => sizes[index]! > 0)
  const positive = ranks.reduce((sum, rank, index) => sum + (differences[index]! > 0 ? rank : 0), 0)
  if (moving.length === 0) return 1
  // What zeros give is the same whatever the signs are, so it is left out of both sides.
  if (moving.length > exact) {
    const mean = moving.reduce((sum, rank) => sum + rank, 0) / 2
    const deviation = Math.sqrt(moving.reduce((sum, rank) => sum + rank * rank, 0)) / 2
    return 1 - normalCumulative((positive - 1 - mean) / deviation)
  }
  let ways = new Map([[0, 1]])
  for (const rank of moving) {
    const more = new Map(ways)
    for (const [sum, count] of ways) more.set(sum + rank, (more.get(sum + rank) ?? 0) + count)
    ways = more
  }
  let tail = 0
  for (const [sum, count] of ways) if (sum >= positive) tail += count
  return tail / 2 ** moving.length
}
