import { finiteNumbers, methodNamed } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import type { OnlineLoss, OnlineMethod, OnlineSettings } from './learner.ts'
import { coinBetting } from './methods/online/coin-betting.ts'
import { optimisticMirrorDescent } from './methods/online/optimistic-mirror-descent.ts'
import { unboundedLosses } from './methods/online/unbounded-losses.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Every method of `online`, by name. */
export const onlineMethods = {
  optimisticMirrorDescent,
  coinBetting,
  unboundedLosses,
} as const satisfies Readonly<Record<string, OnlineMethod>>

export type OnlineMethodName = keyof typeof onlineMethods

/** After a round. */
export interface OnlineState {
  readonly point: Float64Array
  /** Of this round. */
  readonly loss: number
  /** Of all rounds so far. */
  readonly total: number
  /** Length of this round's gradient. */
  readonly residual: number
}

export interface OnlineOptions extends Partial<OnlineSettings>, DoorLimits<OnlineState> {
  /** Default 'optimisticMirrorDescent'. */
  readonly method?: OnlineMethodName
  /** What the gradient of round t is thought to be, before it is known. Default: the last one. */
  readonly hint?: (round: number, last: Float64Array) => Numbers
}

export interface OnlineResult {
  /** The choice for the round after the last one. */
  readonly point: Float64Array
  /** The choice of each round. */
  readonly points: Float64Array[]
  readonly total: number
  readonly rounds: number
  /** `converged` where all losses have been met. */
  readonly status: Status
}

/**
 * Chooses a point for each of a row of losses before it is known, so that all together cost little more than the best fixed point would
 * have (the regret).
 *
 * @param losses any iterable; an endless one ends by a limit.
 * @param start the choice of the first round.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function online(losses: Iterable<OnlineLoss>, start: Numbers, options: OnlineOptions = {}): OnlineResult {
  const { method = 'optimisticMirrorDescent', hint } = options
  const chosen: OnlineMethod = methodNamed(onlineMethods, method)
  const from = finiteNumbers(start)
  const settings: OnlineSettings = { lipschitz: 1, growth: 0, diameter: 10, strongConvexity: 0, wealth: 1, ...options }
  for (const name of ['lipschitz', 'diameter', 'wealth'] as const) {
    if (!(settings[name] > 0)) throw new RangeError(`${name}: ${settings[name]} is not above 0`)
  }
  const learner = chosen.learner(from, settings)
  const points: Float64Array[] = []
  let total = 0
  let rounds = 0

  function* play(): Generator<OnlineState, Status, void> {
    for (const loss of losses) {
      const point = learner.point.slice()
      const value = loss.value(point.slice())
      const gradient = Float64Array.from(loss.gradient(point.slice()))
      if (gradient.length !== from.length) {
        throw new RangeError(`gradient: ${gradient.length} numbers were given for ${from.length} variables`)
      }
      const residual = Math.hypot(...gradient)
      if (!Number.isFinite(residual) || Number.isNaN(value)) {
        return { kind: 'failed', reason: `the loss of round ${rounds} or its gradient is not a finite number` }
      }
      points.push(point)
      total += value
      rounds++
      learner.update(gradient, hint ? Float64Array.from(hint(rounds, gradient.slice())) : undefined)
      yield { point, loss: value, total, residual }
    }
    return { kind: 'converged', test: 'losses' }
  }

  // The state after the first round is that of iteration 1.
  const { iterations = Infinity } = options
  if (iterations <= 0) return { point: from, points, total, rounds, status: { kind: 'limit', of: 'iterations' } }
  const { status } = runSolver(play(), { ...options, iterations: iterations - 1 }, () => rounds)
  return { point: learner.point.slice(), points, total, rounds, status }
}
