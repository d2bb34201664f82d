/** Ratio from which on one contender counts as that many times worse, however much worse it is; a miss counts as this. */
export const worstRatio = 4

/**
 * When a target was reached: after more than `after` and at most `by`, because the metric is only looked at now and then. Both are
 * infinite for a miss.
 */
export interface Arrival {
  readonly after: number
  readonly by: number
}

/** A target that was never reached. */
export const miss: Arrival = { after: Infinity, by: Infinity }

const limit = Math.log(worstRatio)

/** Logarithm of second / first, limited to 1/4 ... 4; 0 where both are infinite. */
export function limitedLogRatio(first: number, second: number): number {
  if (first === Infinity && second === Infinity) return 0
  return Math.max(-limit, Math.min(limit, Math.log(second / first)))
}

/**
 * Which targets tell two contenders apart: not those that nobody reaches, and not those that all reach at their first evaluation. They
 * carry no information, and are the same for both, so that leaving them out favours nobody.
 *
 * @param runs arrivals of all runs of both contenders, `runs[run][target]`
 */
export function informative(runs: readonly (readonly Arrival[])[]): number[] {
  const targets = runs[0]?.length ?? 0
  return Array.from({ length: targets }, (_, target) => target).filter((target) => {
    const arrivals = runs.map((run) => run[target]!)
    return !arrivals.every(({ by }) => by === Infinity) && !arrivals.every(({ after }) => after === 0)
  })
}
