import {
  checkArguments,
  checkObject,
  hyperValue,
  type Kind,
  positive,
  steps as stepCount,
  wrongArgument,
} from '../schedules/arguments.ts'
import { evaluateSchedule, type HyperValue } from '../schedules/schedule.ts'

/** A run as the theory sees it. */
export interface ConvexRun {
  /** Length in steps, 1 or more. */
  steps: number
  /** The norm of the gradients, one bound for all or one for each step, above 0. Default: 1. */
  gradientNorms?: number | ArrayLike<number>
}

/** Arguments of {@link convexBound}. */
export interface ConvexBoundArguments extends ConvexRun {
  /** Distance from the initial to the best parameters, or a bound of it; above 0. */
  distance: number
}

/** What {@link convexBound} gives. */
export interface ConvexBound {
  /** How far the loss at the last gradient may lie above the minimum. */
  readonly bound: number
  /** What to multiply the learning rate by for the least bound. */
  readonly factor: number
  /** That least bound. */
  readonly best: number
}

const normsKind: Kind = {
  expected: 'a finite number above 0, or one for each step',
  accepts: (value) =>
    positive.accepts(value) ||
    (typeof value === 'object' && value !== null && Array.from(value as ArrayLike<number>).every(positive.accepts)),
}

/**
 * The bound of convex theory for gradient descent with any schedule and any gradient norms, and the height of the schedule at which
 * it is least.
 *
 * ```text
 * f(θ_T) − minimum ≤ D² / (2 Σ η) + ½ [Σ η² G² / Σ η + Σ_{k<T} ηₖ / S_{k+1} · (Σ_{t≥k} ηₜ² Gₜ²) / Sₖ],   Sₖ = Σ_{t≥k} ηₜ
 * ```
 *
 * θ_T is where the last of the T gradients is taken, for any convex function, smooth or not, whose gradients are not longer than Gₜ
 * (Defazio, Cutkosky, Mehta, Mishchenko 2023, arXiv 2310.07831, in the form of Schaipp, Hägele, Taylor, Simsekli, Bach 2025, The
 * Surprising Agreement Between Convex Optimization Theory and Learning-Rate Scheduling for Large Model Training, arXiv
 * 2501.18965). Beside the exact bound, where that is known, it is up to twice as large: see {@link convexOptimal}. Steps at the end
 * with a rate of 0 do not count.
 *
 * @param learningRate a number, a schedule or a function of the step.
 * @throws Error that names the argument when one is out of range, the norms are not as many as the steps, or the learning rate is
 * negative at a step or 0 at all of them.
 * @example
 * ```ts
 * import { convexBound, linear } from 'fallline'
 *
 * const schedule = linear({ from: 0.1, to: 0, steps: 101 })
 * const { bound, factor, best } = convexBound(schedule, { steps: 100, distance: 1 })
 * console.log(bound.toFixed(3), factor.toFixed(2), best.toFixed(3)) // 0.204 0.98 0.204
 * ```
 */
export function convexBound(learningRate: HyperValue, options: ConvexBoundArguments): ConvexBound {
  checkObject('convexBound', options)
  if (!positive.accepts(options.distance)) {
    throw wrongArgument('convexBound', 'distance', options.distance, positive.expected)
  }
  const { distance, ...run } = options
  const { start, noise } = termsOf('convexBound', learningRate, run)
  const travel = distance ** 2 * start
  return { bound: travel + noise, factor: Math.sqrt(travel / noise), best: 2 * Math.sqrt(travel * noise) }
}

/** @internal what to multiply a schedule by for the least bound, at a distance of 1. */
export function bestHeight(caller: string, schedule: HyperValue, run: ConvexRun): number {
  const { start, noise } = termsOf(caller, schedule, run)
  return Math.sqrt(start / noise)
}

/**
 * The learning rate for another schedule or another length: a rate that was tuned for one, times the ratio of the rates that are
 * best in theory ({@link convexBound}). The distance and the size of the gradients cancel.
 *
 * @param learningRate what the first schedule was multiplied by, or its height.
 * @param from the schedule it was tuned for, of any height, and its run.
 * @param to the schedule to use, of the height that the first one has, and its run.
 * @throws Error that names the argument when one is out of range, as {@link convexBound} does.
 * @example
 * ```ts
 * import { constant, linear, transferLearningRate } from 'fallline'
 *
 * const from = { schedule: constant(1), steps: 100 }
 * const to = { schedule: linear({ from: 1, to: 0, steps: 401 }), steps: 400 }
 * console.log(transferLearningRate(0.1, from, to).toFixed(3)) // 0.123
 * ```
 */
export function transferLearningRate(
  learningRate: number,
  from: ConvexRun & { schedule: HyperValue },
  to: ConvexRun & { schedule: HyperValue },
): number {
  if (!positive.accepts(learningRate)) {
    throw wrongArgument('transferLearningRate', 'learningRate', learningRate, positive.expected)
  }
  const best = (name: 'from' | 'to', { schedule, ...run }: ConvexRun & { schedule: HyperValue }) =>
    bestHeight(`transferLearningRate: ${name}`, schedule, run)
  return (
    (learningRate * best('to', checkObject('transferLearningRate', to))) /
    best('from', checkObject('transferLearningRate', from))
  )
}

/** What D² and the square of the height are multiplied by in the bound, for a height of 1. */
function termsOf(caller: string, schedule: HyperValue, run: ConvexRun): { start: number; noise: number } {
  const given = { gradientNorms: 1, ...run }
  checkArguments(caller, given, { steps: stepCount, gradientNorms: normsKind })
  if (!hyperValue.accepts(schedule)) throw wrongArgument(caller, 'the learning rate', schedule, hyperValue.expected)
  const { steps, gradientNorms: norms } = given
  if (typeof norms !== 'number' && norms.length !== steps) {
    throw new Error(`${caller}: gradientNorms has ${norms.length} numbers; expected one for each of ${steps} steps.`)
  }
  const rates = Array.from({ length: steps }, (_, index) => evaluateSchedule(schedule, index + 1))
  const negative = rates.findIndex((rate) => rate < 0)
  if (negative >= 0) {
    throw new Error(`${caller}: the learning rate is ${rates[negative]} at step ${negative + 1}; expected 0 or more.`)
  }
  const last = rates.findLastIndex((rate) => rate > 0)
  if (last < 0) throw new Error(`${caller}: the learning rate is 0 at every step; expected one above 0.`)
  let [sum, squares, tail] = [0, 0, 0]
  for (let k = last; k >= 0; k--) {
    const rate = rates[k]!
    const following = sum
    sum += rate
    squares += (rate * (typeof norms === 'number' ? norms : norms[k]!)) ** 2
    if (k < last && rate > 0) tail += ((rate / following) * squares) / sum
  }
  return { start: 1 / (2 * sum), noise: (squares / sum + tail) / 2 }
}
