import { EigenvalueDecomposition, LuDecomposition, Matrix, pseudoInverse, SVD } from 'ml-matrix'
import { finiteNumbers } from './check.ts'
import { Draws } from './draws.ts'
import { type Limits, runToEnd } from './minimize.ts'
import type { Constraint, Evaluations, Objective } from './objective.ts'
import { type Differences, Problem } from './problem.ts'
import type { State, Status } from './state.ts'
import { dot, maximumNorm, type Numbers, norm, plus } from './vector.ts'

const backtracking = 1e-4
const sharper = 1.5
const leastCurvature = 1e-6

/** Where `sketchedNewton` is. */
export interface SketchedNewtonState extends State {
  readonly multipliers: Float64Array
  /** How long the last step was, as a share of the direction. */
  readonly length: number
  /** Sketches for the last direction. */
  readonly sketches: number
  /** The residual of the last system, relative to its right-hand side. */
  readonly accuracy: number
  readonly penalties: readonly [constraint: number, slope: number]
}

export interface SketchedNewtonOptions extends Omit<Limits, 'callback'> {
  readonly callback?: (state: SketchedNewtonState, iteration: number) => unknown
  readonly differences?: Differences
  /** Rows in a sketch of the system. Default 5. */
  readonly sketch?: number
  /** δ: how exact a direction has to be at first, relative to the right-hand side; it becomes sharper where it has to. Default 0.1. */
  readonly accuracy?: number
  /** Divide the accuracy by the number of the iteration, which makes convergence superlinear. Default false. */
  readonly sharpen?: boolean
  /** Largest absolute element of the gradient of the Lagrangian, constraints included. Default 1e-5. */
  readonly tolerance?: number
  /** Default 0. */
  readonly seed?: number
}

export interface SketchedNewtonResult {
  /** Of the points it has come to, the best that keeps the constraints. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  readonly violation: number
  readonly iterations: number
  readonly evaluations: Evaluations
  readonly status: Status
}

/**
 * Minimizes under equalities c(x) = 0 by an inexact Newton method on the Lagrangian L = f + λ · c: the system K z = -∇L is solved by sketch and
 * project, z⁺ = z - Kᵀ S (Sᵀ K Kᵀ S)⁺ Sᵀ (K z + ∇L) with random rows S, until its residual is below δ |∇L|, and a step is taken by Armijo's rule on the exact
 * augmented Lagrangian
 *
 *     L + η₁ |c|² / 2 + η₂ |G ∇ₓL|² / 2,  G the Jacobian of c.
 *
 * Where the direction's slope is above -η₂ |∇L|² / 2, η₁ is multiplied by ν², η₂ divided by ν, δ by ν², and sketching goes on. Near a solution with
 * independent constraints unit steps are taken and convergence is linear, superlinear where δ tends to zero (`sharpen`).
 *
 * I. Hong, S. Na, M. Mahoney, M. Kolar (2023), Constrained Optimization via Exact Augmented Lagrangian and Randomized Iterative Sketching, arXiv
 * 2305.18379. The factors of ν are our own, not checked against the paper's. Here δ is compared with the right-hand side without the paper's constants of the problem, ν is 1.5, and the Hessian, by
 * differences, gets the multiple of the identity that makes it positive definite where the constraints stay as they are.
 *
 * @throws RangeError for inequalities, more equalities than variables, and a start that is not finite.
 */
export function sketchedNewton(
  objective: ((x: Float64Array) => number) | Objective,
  constraints: readonly Constraint[],
  start: Numbers,
  options: SketchedNewtonOptions = {},
): SketchedNewtonResult {
  const { sketch = 5, accuracy = 0.1, sharpen = false, tolerance = 1e-5, seed = 0, differences, callback } = options
  const inequality = constraints.findIndex(({ kind }) => kind !== 'equality')
  if (inequality >= 0) {
    throw new RangeError(`constraints[${inequality}]: its kind is ${constraints[inequality]!.kind}, not 'equality'`)
  }
  if (!(sketch >= 1)) throw new RangeError(`sketch: ${sketch} rows are not at least 1`)
  if (!(accuracy > 0 && accuracy < 1)) throw new RangeError(`accuracy: ${accuracy} is not between 0 and 1`)
  const from = finiteNumbers(start)
  const problem = new Problem(objective, from.length, { constraints, ...(differences ? { differences } : {}) })
  const result = runToEnd(
    problem,
    steps(problem, from, { sketch, accuracy, sharpen, tolerance, seed }),
    {
      ...options,
      iterations: options.iterations ?? Math.max(1000, 200 * from.length),
      callback: (state, iteration) => callback?.(state as SketchedNewtonState, iteration),
    },
    tolerance,
  )
  return { ...result, violation: result.violation ?? 0 }
}

type Settings = Required<Pick<SketchedNewtonOptions, 'sketch' | 'accuracy' | 'sharpen' | 'tolerance' | 'seed'>>

/** The Lagrangian's parts at a point. */
interface Parts {
  readonly value: number
  readonly gradient: Float64Array
  readonly c: Float64Array
  readonly rows: Float64Array[]
}

function* steps(
  problem: Problem,
  start: Float64Array,
  { sketch, accuracy, sharpen, tolerance, seed }: Settings,
): Generator<SketchedNewtonState, Status, void> {
  const draws = new Draws(seed)
  const n = start.length
  const at = (x: Float64Array): Parts => {
    const value = problem.value(x)
    return {
      value,
      gradient: problem.gradient(x, value),
      c: problem.constraints(x).values,
      rows: problem.constraintJacobian(x),
    }
  }
  const slopeOf = ({ gradient, rows }: Pick<Parts, 'gradient' | 'rows'>, multipliers: Float64Array) =>
    rows.reduce((sum, row, k) => plus(sum, multipliers[k]!, row), gradient)
  const times = (rows: Float64Array[], d: Float64Array) => Float64Array.from(rows, (row) => dot(row, d))

  let x = start
  let here = at(x)
  const m = here.c.length
  if (m > n) throw new RangeError(`constraints: ${m} equalities are more than ${n} variables`)
  let multipliers: Float64Array = new Float64Array(m)
  if (m > 0 && here.rows.flatMap((row) => [...row]).every(Number.isFinite)) {
    const least = pseudoInverse(new Matrix(here.rows.map((row) => [...row])).transpose())
    multipliers = Float64Array.from(least.to2DArray(), (row) => -dot(Float64Array.from(row), here.gradient))
  }
  let [penalty, slopePenalty, delta] = [1, 0.1, accuracy]
  const merit = (parts: Parts, weights: Float64Array) => {
    const w = times(parts.rows, slopeOf(parts, weights))
    const squares = (penalty * dot(parts.c, parts.c) + slopePenalty * dot(w, w)) / 2
    return parts.value + dot(weights, parts.c) + squares
  }
  let [length, sketches, reached, step] = [0, 0, 0, 0]
  for (let iteration = 1; ; iteration++) {
    const slope = slopeOf(here, multipliers)
    const residual = Math.max(maximumNorm(slope), maximumNorm(here.c))
    yield {
      point: x,
      value: here.value,
      residual,
      step,
      evaluations: problem.evaluations,
      violation: maximumNorm(here.c),
      multipliers,
      length,
      sketches,
      accuracy: reached,
      penalties: [penalty, slopePenalty],
    }
    if (residual <= tolerance) return { kind: 'converged', test: 'gradient' }
    if (here.value === -Infinity) return { kind: 'unbounded' }
    if (!Number.isFinite(residual)) return { kind: 'failed', reason: `the residual is ${residual}` }

    // The Hessian of the Lagrangian, column by column.
    const h = Number.EPSILON ** (1 / 4) * (1 + norm(x) / Math.sqrt(n))
    const moved = (d: Float64Array, by: number) => {
      const point = plus(x, by, d)
      return { gradient: problem.gradient(point), rows: problem.constraintJacobian(point) }
    }
    const columns = Array.from(x, (_, i) => {
      const axis = new Float64Array(n).fill(1, i, i + 1)
      const ahead = slopeOf(moved(axis, h), multipliers)
      const behind = slopeOf(moved(axis, -h), multipliers)
      return plus(ahead, -1, behind).map((each) => each / (2 * h))
    })
    const hessian = columns.map((column, i) => column.map((each, j) => (each + columns[j]![i]!) / 2))
    const shift = missingCurvature(hessian, here.rows)
    const system = [
      ...hessian.map((row, i) =>
        Float64Array.of(...row.map((each, j) => (i === j ? each + shift : each)), ...here.rows.map((one) => one[i]!)),
      ),
      ...here.rows.map((row) => Float64Array.of(...row, ...new Float64Array(m))),
    ]
    const right = Float64Array.of(...slope, ...here.c)
    const size = norm(right)

    let z: Float64Array = new Float64Array(n + m)
    let rest: Float64Array = right.slice()
    sketches = 0
    const most = 2000 * (n + m)
    let promised = 0
    for (;;) {
      const asked = (sharpen ? delta / iteration : delta) * size
      while (norm(rest) > asked && sketches < most) {
        z = project(system, z, rest, sketch, draws)
        rest = plus(right, 1, times(system, z))
        sketches++
      }
      if (norm(rest) > asked) {
        return {
          kind: 'failed',
          reason: `${most} sketches have not solved a system: the constraints depend on each other`,
        }
      }
      const [dx, dl] = [z.slice(0, n), z.slice(n)]
      const w = times(here.rows, slope)
      // Along the direction: of G ∇ₓL, the part by G from a difference of Jacobians.
      const turn = times(
        moved(dx, 1e-4 / (1e-4 + norm(dx))).rows.map((row, k) => plus(row, -1, here.rows[k]!)),
        slope,
      ).map((each) => (each * (1e-4 + norm(dx))) / 1e-4)
      const along = plus(turn, 1, times(here.rows, slopeOf({ gradient: times(hessian, dx), rows: here.rows }, dl)))
      promised =
        dot(slope, dx) + dot(here.c, dl) + penalty * dot(here.c, times(here.rows, dx)) + slopePenalty * dot(w, along)
      if (promised <= (-slopePenalty / 2) * size * size) break
      if (penalty > 1e14) return { kind: 'failed', reason: `the penalty is ${penalty}, and the direction leads up` }
      penalty *= sharper ** 2
      slopePenalty /= sharper
      delta /= sharper ** 2
    }
    reached = norm(rest) / size

    const before = merit(here, multipliers)
    let found: Parts | undefined
    for (length = 1; length > 1e-14; length /= 2) {
      const point = plus(x, length, z.slice(0, n))
      const weights = plus(multipliers, length, z.slice(n))
      const there = at(point)
      if (merit(there, weights) <= before + backtracking * length * promised + 1e-14 * Math.abs(before)) {
        step = length * norm(z.slice(0, n))
        ;[x, multipliers, found] = [point, weights, there]
        break
      }
    }
    if (!found) return { kind: 'failed', reason: 'the line search found no lower point of the augmented Lagrangian' }
    here = found
  }
}

/** One projection of z on the solutions of some rows, drawn, of the system. */
function project(
  system: Float64Array[],
  z: Float64Array,
  rest: Float64Array,
  sketch: number,
  draws: Draws,
): Float64Array {
  const count = Math.min(sketch, system.length)
  const order = system.map((_, i) => i)
  for (let k = 0; k < count; k++) {
    const other = k + draws.below(order.length - k)
    ;[order[k], order[other]] = [order[other]!, order[k]!]
  }
  const rows = order.slice(0, count).map((i) => system[i]!)
  const errors = order.slice(0, count).map((i) => rest[i]!)
  const gram = new Matrix(rows.map((row) => rows.map((other) => dot(row, other))))
  const factors = new LuDecomposition(gram)
  const right = Matrix.columnVector(errors)
  const weights = factors.isSingular() ? pseudoInverse(gram).mmul(right) : factors.solve(right)
  return rows.reduce((sum, row, k) => plus(sum, -weights.get(k, 0), row), z)
}

/** What multiple of the identity makes a matrix positive definite on the null space of rows. */
function missingCurvature(hessian: Float64Array[], rows: Float64Array[]): number {
  const n = hessian.length
  if (n === 0 || rows.length >= n) return 0
  let free = Matrix.eye(n)
  if (rows.length > 0) {
    // Padded to a square, so that all n right vectors come.
    const padded = Array.from({ length: n }, (_, k) => [...(rows[k] ?? new Float64Array(n))])
    const svd = new SVD(new Matrix(padded))
    const largest = svd.diagonal[0] ?? 0
    const right = svd.rightSingularVectors
    const kept = svd.diagonal.flatMap((value, k) => (value <= 1e-12 * Math.max(largest, 1) ? [k] : []))
    if (kept.length === 0) return 0
    free = new Matrix(Array.from({ length: n }, (_, i) => kept.map((k) => right.get(i, k))))
  }
  const matrix = new Matrix(hessian.map((row) => [...row]))
  const reduced = free.transpose().mmul(matrix).mmul(free)
  const least = Math.min(...new EigenvalueDecomposition(reduced, { assumeSymmetric: true }).realEigenvalues)
  return least >= leastCurvature ? 0 : Math.max(1e-2, Math.abs(least)) - least
}
