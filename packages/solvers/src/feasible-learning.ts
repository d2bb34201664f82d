import { finiteNumbers } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import type { Status } from './state.ts'
import { maximumNorm, type Numbers } from './vector.ts'

/** The losses of single samples, as functions of a model's parameters. */
export interface SampleLosses {
  /** One for each sample. */
  values(x: Float64Array): Numbers
  /** Σ weights_i ∇g_i(x). */
  weightedGradient(x: Float64Array, weights: Float64Array): Numbers
}

/** Where `feasibleLearning` is. */
export interface FeasibleState {
  readonly point: Float64Array
  readonly values: Float64Array
  /** λ: how much each sample weighs. */
  readonly multipliers: Float64Array
  /** By how much each threshold is relaxed: λ / α; zeros where α is infinite. */
  readonly slacks: Float64Array
  /**
   * Without slacks by how much the largest loss is above ε; with them the largest of what stationarity, |Σ λ_i ∇g_i|, and the multipliers,
   * |λ_i / α - (g_i - ε)₊|, lack.
   */
  readonly residual: number
}

export interface FeasibleOptions extends DoorLimits<FeasibleState> {
  /** ε: what the loss of each sample may be. Default 0.1. */
  readonly threshold?: number
  /** α: price of the squared slacks; Infinity (default) allows none. */
  readonly slackPrice?: number
  /** Of the descent in the parameters. Default 0.01. */
  readonly step?: number
  /** Of the ascent in the multipliers. Default 0.1. */
  readonly dualStep?: number
  /** Largest residual. Default 1e-6. */
  readonly tolerance?: number
}

export interface FeasibleResult extends FeasibleState {
  readonly iterations: number
  readonly evaluations: number
  readonly status: Status
}

/** The iterator behind `feasibleLearning`: a state for the start and after each step. Limits are not read. */
export function feasibleLearningStates(
  losses: SampleLosses,
  start: Numbers,
  options: FeasibleOptions = {},
): Generator<FeasibleState, Status, void> {
  const { threshold = 0.1, slackPrice = Infinity, step = 0.01, dualStep = 0.1, tolerance = 1e-6 } = options
  for (const [name, value] of Object.entries({ slackPrice, step, dualStep })) {
    if (!(value > 0)) throw new RangeError(`${name}: ${value} is not above 0`)
  }
  if (!Number.isFinite(threshold)) throw new RangeError(`threshold: ${threshold} is not a finite number`)
  const first = finiteNumbers(start)

  function* solve(): Generator<FeasibleState, Status, void> {
    let x = first
    let multipliers: Float64Array | undefined
    for (;;) {
      const values = Float64Array.from(losses.values(x.slice()))
      const before: Float64Array = multipliers ?? new Float64Array(values.length)
      if (values.length !== before.length) {
        throw new RangeError(`values: ${values.length} numbers were given for ${before.length} samples`)
      }
      const lambda = before.map((each, i) =>
        Math.max(0, each + dualStep * (values[i]! - threshold - each / slackPrice)),
      )
      const slope = Float64Array.from(losses.weightedGradient(x.slice(), lambda.slice()))
      if (slope.length !== x.length) {
        throw new RangeError(`weightedGradient: ${slope.length} numbers were given for ${x.length} variables`)
      }
      const excess = values.map((value) => Math.max(0, value - threshold))
      const lacking = lambda.map((each, i) => each / slackPrice - excess[i]!)
      const residual =
        slackPrice === Infinity ? maximumNorm(excess) : Math.max(maximumNorm(slope), maximumNorm(lacking))
      const slacks = lambda.map((each) => each / slackPrice)
      yield { point: x, values, multipliers: lambda, slacks, residual }
      if (residual <= tolerance) {
        return { kind: 'converged', test: slackPrice === Infinity ? 'feasibility' : 'conditions' }
      }
      x = x.map((each, j) => each - step * slope[j]!)
      multipliers = lambda
    }
  }
  return solve()
}

/**
 * Feasible learning: instead of a low mean a bound for each sample's loss, g_i(x) ≤ ε. A primal-dual method: multipliers rise where a loss is above
 * ε, λ ← (λ + η (g(x) - ε - λ / α))₊, and the parameters descend along Σ λ_i ∇g_i. With a price α a bound that is too tight is relaxed by
 * slacks of least norm, min α |u|² / 2 where g_i(x) ≤ ε + u_i, u ≥ 0: these are u = λ / α (resilient feasible learning).
 *
 * J. Ramirez, I. Hounie, J. Elenter, J. Gallego-Posada, M. Hashemizadeh, A. Ribeiro, S. Lacoste-Julien (2025), Feasible Learning, arXiv
 * 2501.14912. Deviations: all samples in every step, and plain gradient descent.
 *
 * @returns without slacks, `converged` as soon as every loss is within the tolerance of ε; bounds that cannot be kept end at a limit, with
 * multipliers that grow.
 * @throws RangeError for a start that is not finite, steps and prices that are not above 0, and a threshold that is not a number.
 */
export function feasibleLearning(losses: SampleLosses, start: Numbers, options: FeasibleOptions = {}): FeasibleResult {
  let evaluations = 0
  const counted: SampleLosses = {
    values: (x) => {
      evaluations++
      return losses.values(x)
    },
    weightedGradient: (x, weights) => losses.weightedGradient(x, weights),
  }
  const states = feasibleLearningStates(counted, start, options)
  const ended = runSolver(states, { ...options, iterations: options.iterations ?? 10_000 }, () => evaluations)
  const none = new Float64Array(0)
  const nowhere = { values: none, multipliers: none, slacks: none, residual: Number.NaN }
  const best = ended.best ?? { point: Float64Array.from(start), ...nowhere }
  return { ...best, iterations: ended.iterations, evaluations, status: ended.status }
}
