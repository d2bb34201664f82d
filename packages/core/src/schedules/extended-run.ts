import { bestHeight } from '../convex/convex-bound.ts'
import { checkArguments, checkObject, partOfWhole, positive, steps as stepCount, wrongArgument } from './arguments.ts'
import type { Schedule } from './schedule.ts'

/** Arguments of {@link extendedRun}. */
export interface ExtendedRunArguments {
  /** The rate that is best for the shorter run. */
  peak: number
  /** Length of the shorter run in steps, 1 or more: constant, then a linear decay to 0. */
  steps: number
  /** Length of the whole run in steps, more than `steps`. */
  extended: number
  /** Share of either run that is decay, above 0 and below 1. Default: 0.2. */
  cooldown?: number
}

/**
 * The schedule that continues a run beyond the length that its rate was tuned for, from where its decay would have begun.
 *
 * ```text
 * at(t) = peak         for t ≤ (1 − cooldown) steps            the part that the shorter run shares
 *       = ρ peak       for t ≤ (1 − cooldown) extended
 *       falls linearly to 0 just after the last step           from ρ peak
 * ```
 *
 * A longer run wants a lower rate, but the first part has been taken at the old one. ρ is the factor for the rest at which `peak`
 * is the best height of the whole schedule in theory ({@link convexBound}), as it was of the shorter one (Schaipp et al. 2025, arXiv
 * 2501.18965). ρ depends on the ratio of the lengths and hardly on anything else: 0.53 for twice the length and 0.38 for four
 * times it, with the default cooldown.
 *
 * @throws Error that names the argument when one is out of range.
 * @example
 * ```ts
 * import { extendedRun } from 'fallline'
 *
 * const learningRate = extendedRun({ peak: 0.1, steps: 1000, extended: 2000 })
 * learningRate.at(800) // 0.1
 * learningRate.at(2001) // 0
 * ```
 */
export function extendedRun(options: ExtendedRunArguments): Schedule {
  const given = { cooldown: 0.2, ...checkObject('extendedRun', options) }
  checkArguments('extendedRun', given, {
    peak: positive,
    steps: stepCount,
    extended: stepCount,
    cooldown: partOfWhole,
  })
  const { peak, steps, extended, cooldown } = given
  if (extended <= steps) throw wrongArgument('extendedRun', 'extended', extended, `more steps than ${steps}`)
  const shape = (first: number, length: number, rest: number) => (step: number) => {
    if (step <= first) return 1
    const decay = Math.ceil(cooldown * length)
    return rest * Math.min(1, Math.max(0, (length + 1 - step) / (decay + 1)))
  }
  const shared = steps - Math.ceil(cooldown * steps)
  const best = (schedule: (step: number) => number, length: number) =>
    bestHeight('extendedRun', schedule, { steps: length })
  const wanted = best(shape(shared, steps, 1), steps)
  // The best height falls as the rest rises.
  let [low, high] = [0, 1]
  for (let halving = 0; halving < 40; halving++) {
    const middle = (low + high) / 2
    if (best(shape(shared, extended, middle), extended) > wanted) low = middle
    else high = middle
  }
  const height = shape(shared, extended, (low + high) / 2)
  return { kind: 'extendedRun', arguments: [options], start: peak, at: (step) => peak * height(step) }
}
