import { type DoorLimits, runSolver, watching } from './door.ts'
import type { Manifold } from './manifolds.ts'
import type { Objective } from './objective.ts'
import { Problem } from './problem.ts'
import type { State, Status } from './state.ts'
import { type Numbers, plus, scaled } from './vector.ts'

/** How the squares of the gradients' lengths are put together. */
export type RiemannianMethodName = 'adam' | 'amsgrad' | 'adagrad'

export interface RiemannianOptions extends DoorLimits<State> {
  /** The factors of the product, in the order of the numbers. */
  readonly manifolds: readonly Manifold[]
  /** Default 'amsgrad', whose convergence is proved. */
  readonly method?: RiemannianMethodName
  /** α, divided by √k with `decay`. Default 0.1. */
  readonly step?: number
  /** Default false. Adagrad's sum of squares makes its steps shorter without it. */
  readonly decay?: boolean
  /** β₁; 0 for Adagrad. Default 0.9. */
  readonly momentum?: number
  /** β₂. Default 0.999. */
  readonly memory?: number
  /** Default 1e-8. */
  readonly epsilon?: number
  /** Largest length of a factor's gradient. Default 1e-6. */
  readonly tolerance?: number
}

export interface RiemannianResult {
  /** The point with the smallest value. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  readonly iterations: number
  readonly evaluations: Problem['evaluations']
  readonly status: Status
}

/**
 * Adam, AMSGrad and Adagrad on a product of Riemannian manifolds: one adaptive factor v for each, the mean (Adagrad: the sum) of the squares of the
 * gradient's length in its metric; a step of -α m / (√v + ε) by the exponential map or a retraction, and momentum m carried along by
 * parallel transport. On lines they are the usual methods, coordinate by coordinate. Adam corrects the bias of its means, as in
 * D. Kingma and J. Ba (2014); AMSGrad and Adagrad do not, as in the paper.
 *
 * G. Bécigneul, O.-E. Ganea (2019), Riemannian Adaptive Optimization Methods, arXiv 1810.00760.
 *
 * @param objective with the gradient of the space around; by finite differences where it lacks it, which then has to be defined off the manifold.
 * @throws RangeError for a start that is not on the manifolds, or of another size.
 */
export function riemannian(
  objective: ((x: Float64Array) => number) | Objective,
  start: Numbers,
  options: RiemannianOptions,
): RiemannianResult {
  const { manifolds, method = 'amsgrad', iterations = 10_000 } = options
  if (!['adam', 'amsgrad', 'adagrad'].includes(method)) {
    throw new RangeError(`method: '${method}' is not one of adam, amsgrad, adagrad`)
  }
  const size = manifolds.reduce((sum, manifold) => sum + manifold.size, 0)
  if (start.length !== size)
    throw new RangeError(`start: ${start.length} numbers were given for ${size} of the manifolds`)
  const points = split(start, manifolds)
  manifolds.forEach((manifold, i) => {
    manifold.check(points[i]!)
  })
  const problem = new Problem(objective, size)
  let best: State | undefined
  const limits = watching({ ...options, iterations }, (state: State) => {
    if (best === undefined || state.value < best.value) best = state
  })
  const solving = steps(problem, points, { ...options, method })
  const ended = runSolver(solving, limits, () => problem.evaluations.values)
  return {
    point: best?.point ?? Float64Array.from(start),
    value: best?.value ?? Infinity,
    residual: best?.residual ?? Infinity,
    iterations: ended.iterations,
    evaluations: problem.evaluations,
    status: ended.status,
  }
}

function* steps(problem: Problem, start: readonly Float64Array[], options: RiemannianOptions): Solving {
  const { manifolds, method, step = 0.1, decay = false, epsilon = 1e-8, memory = 0.999, tolerance = 1e-6 } = options
  const momentum = options.momentum ?? (method === 'adagrad' ? 0 : 0.9)
  let points = start
  const means = start.map((point): Float64Array => new Float64Array(point.length))
  const squares = new Float64Array(start.length)
  const largest = new Float64Array(start.length)
  let moved = 0
  for (let k = 1; ; k++) {
    const point = Float64Array.from(points.flatMap((part) => [...part]))
    const value = problem.value(point)
    const gradients = split(problem.gradient(point, value), manifolds).map((g, i) =>
      manifolds[i]!.gradient(points[i]!, g),
    )
    const lengths = gradients.map((g, i) => manifolds[i]!.norm(points[i]!, g))
    const residual = lengths.reduce((most, each) => (Number.isNaN(each) ? each : Math.max(most, each)), 0)
    yield { point, value, residual, step: moved, evaluations: problem.evaluations }
    if (residual <= tolerance) return { kind: 'converged', test: 'gradient' }
    moved = 0
    points = points.map((x, i) => {
      const manifold = manifolds[i]!
      const square = lengths[i]! ** 2
      means[i] = plus(scaled(momentum, means[i]!), 1 - momentum, gradients[i]!)
      squares[i] = method === 'adagrad' ? squares[i]! + square : memory * squares[i]! + (1 - memory) * square
      largest[i] = method === 'amsgrad' ? Math.max(largest[i]!, squares[i]!) : squares[i]!
      const [first, second] = method === 'adam' ? [1 - momentum ** k, 1 - memory ** k] : [1, 1]
      const rate = (decay ? step / Math.sqrt(k) : step) / first / (Math.sqrt(largest[i]! / second) + epsilon)
      const along = scaled(-rate, means[i]!)
      moved = Math.hypot(moved, manifold.norm(x, along))
      means[i] = manifold.transport(x, along, means[i]!)
      return manifold.move(x, along)
    })
  }
}

type Solving = Generator<State, Status, void>

/** Splits a vector into the points of a product of manifolds. */
function split(x: Numbers, manifolds: readonly Manifold[]): Float64Array[] {
  let from = 0
  return manifolds.map(({ size }) => {
    from += size
    return Float64Array.from(x.slice(from - size, from))
  })
}
