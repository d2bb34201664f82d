import { worstRatio } from './ratios.ts'

/** One step of a performance profile: from `ratio` on, the contender reaches `share` of the targets within that ratio of the best. */
export interface ProfilePoint {
  ratio: number
  share: number
}

/**
 * Ratios to the best of the field: `ratios[contender][target]`, infinite where the contender, or everybody, misses the target.
 *
 * @param times `times[contender][target]`, `Infinity` for a miss
 */
export function ratiosToBest(times: readonly (readonly number[])[]): number[][] {
  const best = (times[0] ?? []).map((_, target) => Math.min(...times.map((row) => row[target]!)))
  return times.map((row) => row.map((time, target) => (Number.isFinite(time) ? time / best[target]! : Infinity)))
}

/**
 * Score of a contender: the mean over targets of max(0, (4 - r) / 3), r its ratio to the best of the field. 1 means best on every
 * target; 0 means at least four times behind, or missing, on all. It is the area under the performance profile from 1 to 4, over 3
 * (Dolan and More 2002; Dahl et al. 2023, AlgoPerf).
 *
 * @param ratios one contender's ratios, infinite for a miss
 */
export function profileScore(ratios: readonly number[]): number {
  const shares = ratios.map((ratio) => Math.max(0, (worstRatio - ratio) / (worstRatio - 1)))
  return shares.reduce((sum, share) => sum + share, 0) / ratios.length
}

/**
 * The performance profile of a contender as a step function: for each ratio that occurs, the share of targets it reaches within that
 * ratio of the best of the field. Starts at ratio 1.
 */
export function profileCurve(ratios: readonly number[]): ProfilePoint[] {
  const shareWithin = (ratio: number) => ratios.filter((other) => other <= ratio).length / ratios.length
  const occurring = [...new Set([1, ...ratios.filter(Number.isFinite)])].sort((a, b) => a - b)
  return occurring.map((ratio) => ({ ratio, share: shareWithin(ratio) }))
}
