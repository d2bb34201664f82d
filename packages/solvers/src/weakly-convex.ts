import { finiteNumbers, methodNamed } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import { Draws } from './draws.ts'
import type { Status } from './state.ts'
import { dot, type Numbers, norm, plus } from './vector.ts'

/** f(x) = the mean over i of |c(x, i)|, with c smooth in x: weakly convex. Absolute residuals, as those of robust phase retrieval, are of this kind. */
export interface AbsoluteResiduals {
  /** How many i there are. */
  readonly count: number
  residual(x: Float64Array, i: number): number
  gradient(x: Float64Array, i: number): Numbers
}

/** What the methods of `weaklyConvex` have of a sample: c and its gradient. */
export type Sample = (x: Float64Array) => { readonly residual: number; readonly gradient: Float64Array }

/**
 * A method by its model of |c|: minimizes model(y) + |y - x|² / (2 step) over y.
 */
export interface ModelBasedMethod {
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly next: (sample: Sample, x: Float64Array, step: number) => Float64Array
}

const paper =
  'D. Davis, D. Drusvyatskiy (2019), Stochastic Model-Based Minimization of Weakly Convex Functions, arXiv 1803.06523'

/** y = x - step λ g where |r + g · (y - x)| + |y - x|² / (2 step) is least: λ is r / (step |g|²), cut to [-1, 1]. */
const share = (residual: number, squared: number, step: number) =>
  squared === 0 ? 0 : Math.max(-1, Math.min(1, residual / (step * squared)))

/** The model is linear: |c| + sign(c) ∇c · (y - x). */
const subgradient: ModelBasedMethod = {
  name: 'subgradient',
  title: 'Stochastic subgradient',
  paper,
  next: (sample, x, step) => {
    const { residual, gradient } = sample(x)
    return plus(x, -step * Math.sign(residual), gradient)
  },
}

/** The model is |c + ∇c · (y - x)|. */
const proxLinear: ModelBasedMethod = {
  name: 'proxLinear',
  title: 'Stochastic prox-linear',
  paper,
  next: (sample, x, step) => {
    const { residual, gradient } = sample(x)
    return plus(x, -step * share(residual, dot(gradient, gradient), step), gradient)
  },
}

/**
 * The model is |c| itself. The proximal point is found by prox-linear steps, each linear about the last, which converge where the step is
 * below 1 / ρ, |c| + ρ |x|² / 2 being convex; at most 100, as about larger steps nothing is proved.
 */
const proximalPoint: ModelBasedMethod = {
  name: 'proximalPoint',
  title: 'Stochastic proximal point',
  paper,
  next: (sample, x, step) => {
    let y = x
    for (let k = 0; k < 100; k++) {
      const { residual, gradient } = sample(y)
      const here = residual + dot(gradient, plus(x, -1, y))
      const further = plus(x, -step * share(here, dot(gradient, gradient), step), gradient)
      const moved = norm(plus(further, -1, y))
      y = further
      if (!(moved > 1e-14 * (1 + norm(y)))) break
    }
    return y
  },
}

/** Every method of `weaklyConvex`, by name. */
export const weaklyConvexMethods = { subgradient, proxLinear, proximalPoint } as const satisfies Readonly<
  Record<string, ModelBasedMethod>
>

export type WeaklyConvexMethodName = keyof typeof weaklyConvexMethods

/** After a step. */
export interface WeaklyConvexState {
  readonly point: Float64Array
  /** Length of the step, divided by its size. */
  readonly residual: number
}

export interface WeaklyConvexOptions extends DoorLimits<WeaklyConvexState> {
  /** Default 'proxLinear'. */
  readonly method?: WeaklyConvexMethodName
  /** Default 1. Every step has this size, divided by √(T + 1), T being `iterations`. */
  readonly step?: number
  /** Default 0. */
  readonly seed?: number
}

export interface WeaklyConvexResult {
  /** Where the last step has led. */
  readonly point: Float64Array
  /** One of the points the steps began at, drawn: of this one the theorem speaks. */
  readonly drawn: Float64Array
  /** The mean of |c| at `point`. */
  readonly value: number
  readonly iterations: number
  readonly status: Status
}

/**
 * Minimizes a weakly convex mean of absolute values, of which each step sees one i, by minimizing a model of it and the squared distance. With
 * the Moreau envelope φ(x) = min over y of f(y) + ρ̄ |y - x|² / 2, ρ̄ above f's weak convexity, the expected squared gradient of φ at the
 * drawn point is of the order 1 / √T, for all three models.
 *
 * The paper's class is wider: h(c(x, i)) + r(x), h convex; here h is the absolute value and r is 0.
 *
 * @throws RangeError for a start that is not finite, no residuals, a method that is not there, or a step that is not above 0.
 */
export function weaklyConvex(
  problem: AbsoluteResiduals,
  start: Numbers,
  options: WeaklyConvexOptions = {},
): WeaklyConvexResult {
  const { method = 'proxLinear', step = 1, seed = 0, iterations = 1000 } = options
  const chosen: ModelBasedMethod = methodNamed(weaklyConvexMethods, method)
  if (!(step > 0)) throw new RangeError(`step: ${step} is not above 0`)
  if (!(problem.count >= 1)) throw new RangeError(`count: ${problem.count} residuals are not at least 1`)
  let x = finiteNumbers(start)
  const draws = new Draws(seed)
  const size = step / Math.sqrt(iterations + 1)
  let drawn: Float64Array = x.slice()

  function* steps(): Generator<WeaklyConvexState, Status, void> {
    yield { point: x.slice(), residual: Infinity }
    for (let t = 1; ; t++) {
      // Each point replaces the one before with probability 1 / t, so that all are as likely in the end.
      if (draws.below(t) === 0) drawn = x.slice()
      const i = draws.below(problem.count)
      const next = chosen!.next(
        (y) => {
          const gradient = Float64Array.from(problem.gradient(y.slice(), i))
          if (gradient.length !== y.length) {
            throw new RangeError(`gradient: ${gradient.length} numbers were given for ${y.length} variables`)
          }
          return { residual: problem.residual(y.slice(), i), gradient }
        },
        x,
        size,
      )
      if (!next.every(Number.isFinite)) {
        return { kind: 'failed', reason: `step ${t} led to a point that is not finite: a smaller step may not` }
      }
      const residual = norm(plus(next, -1, x)) / size
      x = Float64Array.from(next)
      yield { point: x.slice(), residual }
    }
  }

  const ended = runSolver(steps(), { ...options, iterations })
  let value = Number.NaN
  try {
    value = 0
    for (let i = 0; i < problem.count; i++) value += Math.abs(problem.residual(x.slice(), i)) / problem.count
  } catch {
    value = Number.NaN
  }
  return { point: x, drawn, value, iterations: ended.iterations, status: ended.status }
}
