import type { PairRecord } from '../results.ts'

/** A ratio that a race should be able to show. */
export const ratioToFind = 1.3

/** How many times the steps of `first` the contender `second` needs, with the interval, whichever way round the pair is stored. */
export function pairFrom(pairs: readonly PairRecord[], first: string, second: string): PairRecord | undefined {
  const pair = pairs.find(
    (p) => (p.first === first && p.second === second) || (p.first === second && p.second === first),
  )
  if (pair === undefined || pair.first === first) return pair
  const low = pair.high === null ? 0 : 1 / pair.high
  return { ...pair, first, second, ratio: 1 / pair.ratio, low, high: pair.low > 0 ? 1 / pair.low : null }
}
