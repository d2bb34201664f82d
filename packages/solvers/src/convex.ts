import { type DoorLimits, runSolver } from './door.ts'
import { acceleratedGradient } from './methods/convex/accelerated-gradient.ts'
import { centreOfGravity } from './methods/convex/centre-of-gravity.ts'
import { coordinateDescent } from './methods/convex/coordinate-descent.ts'
import { dualAveraging } from './methods/convex/dual-averaging.ts'
import { ellipsoid } from './methods/convex/ellipsoid.ts'
import { fista } from './methods/convex/fista.ts'
import { frankWolfe } from './methods/convex/frank-wolfe.ts'
import { gradientDescent } from './methods/convex/gradient-descent.ts'
import { interiorPoint } from './methods/convex/interior-point.ts'
import { mirrorDescent } from './methods/convex/mirror-descent.ts'
import { mirrorProx } from './methods/convex/mirror-prox.ts'
import type { HalfSpace } from './methods/convex/polytope.ts'
import { randomWalk } from './methods/convex/random-walk.ts'
import { vaidya } from './methods/convex/vaidya.ts'
import type { Evaluations, Objective } from './objective.ts'
import { Problem, type ProblemOptions } from './problem.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** A convex function and a convex set, by what is known of them. A gradient may be any subgradient. */
export interface ConvexObjective extends Objective {
  /** The second part g, of which `prox` is the proximal point: what is minimized is `value` + g. Default: 0. */
  regularizer?(x: Float64Array): number
  /** The point of the set with the smallest inner product: what Frank-Wolfe needs. Default: that of finite bounds. */
  linearMinimum?(direction: Float64Array): Numbers
}

/** The set of all x with A x ≤ b: what cutting planes, barrier and random walk go by. */
export interface Inequalities {
  readonly matrix: readonly Numbers[]
  readonly bounds: Numbers
}

/** What the methods of `convex` are told. */
export interface ConvexSettings {
  /** β: the gradient is β-Lipschitz. Default: found by doubling, where a method can. */
  readonly smoothness?: number
  /** α: the function less α |x|² / 2 is convex. Default 0. */
  readonly strongConvexity: number
  /** G: subgradients are at most that long (in the norm dual to the mirror's). Default: the longest one so far. */
  readonly lipschitz?: number
  /** R: how far the minimum may be from the start (cutting planes: by coordinate). Default 10. */
  readonly radius: number
  /** Φ: |x|² / 2, or Σ x log x on the simplex. Default 'euclidean'. */
  readonly mirror: 'euclidean' | 'entropy'
  /** Coordinate descent draws i as often as β_i to this power. Default 0. */
  readonly power: number
  readonly inequalities?: Inequalities
  /** Largest residual, which is what each method documents. Default 1e-6. */
  readonly tolerance: number
  readonly seed: number
  /** t: step sizes that depend on the horizon take this. Default 1,000. */
  readonly iterations: number
}

/** Where a method of `convex` is. */
export interface ConvexState {
  readonly point: Float64Array
  /** Infinity where the point is outside the set. */
  readonly value: number
  readonly residual: number
}

/** A convex problem with its evaluations counted. */
export class ConvexProblem extends Problem {
  readonly #convex: ConvexObjective

  constructor(
    objective: ((x: Float64Array) => number) | ConvexObjective,
    size: number,
    options: Pick<ProblemOptions, 'bounds' | 'differences'>,
    readonly inequalities: Inequalities | undefined,
  ) {
    super(objective, size, options)
    this.#convex = typeof objective === 'function' ? { value: objective } : objective
    inequalities?.matrix.forEach((row, i) => {
      if (row.length !== size) {
        throw new RangeError(`inequalities.matrix[${i}]: ${row.length} numbers were given for ${size} variables`)
      }
    })
    if (inequalities && inequalities.matrix.length !== inequalities.bounds.length) {
      throw new RangeError(
        `inequalities.bounds: ${inequalities.bounds.length} were given for ${inequalities.matrix.length} rows`,
      )
    }
  }

  regularizer(x: Float64Array): number {
    return this.#convex.regularizer?.(x.slice()) ?? 0
  }

  /** @throws RangeError where neither the objective nor finite bounds say it. */
  linearMinimum(direction: Float64Array): Float64Array {
    if (this.#convex.linearMinimum) return Float64Array.from(this.#convex.linearMinimum(direction.slice()))
    const { lower, upper } = this
    if (!lower || !upper || !lower.every(Number.isFinite) || !upper.every(Number.isFinite)) {
      throw new RangeError('linearMinimum: it is missing, and the bounds are not finite')
    }
    return direction.map((slope, i) => (slope > 0 ? lower[i]! : upper[i]!))
  }

  /** All half-spaces a · x ≤ b of the set: inequalities and bounds. */
  halfSpaces(): HalfSpace[] {
    const spaces: HalfSpace[] = []
    this.inequalities?.matrix.forEach((row, i) => {
      spaces.push({ normal: Float64Array.from(row), bound: this.inequalities!.bounds[i]! })
    })
    for (let i = 0; i < this.size; i++) {
      const axis = (sign: number) => new Float64Array(this.size).fill(sign, i, i + 1)
      if (this.upper && this.upper[i]! < Infinity) spaces.push({ normal: axis(1), bound: this.upper[i]! })
      if (this.lower && this.lower[i]! > -Infinity) spaces.push({ normal: axis(-1), bound: -this.lower[i]! })
    }
    return spaces
  }
}

/** A method of `convex`: begins at a point, and gives a state for it and after each iteration. */
export interface ConvexMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly solve: (
    problem: ConvexProblem,
    start: Float64Array,
    settings: ConvexSettings,
  ) => Generator<ConvexState, Status, void>
}

/** Every method of `convex`, by name. */
export const convexMethods = {
  gradientDescent,
  acceleratedGradient,
  frankWolfe,
  mirrorDescent,
  dualAveraging,
  fista,
  mirrorProx,
  centreOfGravity,
  ellipsoid,
  vaidya,
  interiorPoint,
  coordinateDescent,
  randomWalk,
} as const satisfies Readonly<Record<string, ConvexMethod>>

export type ConvexMethodName = keyof typeof convexMethods

export interface ConvexOptions
  extends Partial<Omit<ConvexSettings, 'iterations'>>,
    Pick<ProblemOptions, 'bounds' | 'differences'>,
    DoorLimits<ConvexState> {
  /** Default 'acceleratedGradient'. */
  readonly method?: ConvexMethodName
}

export interface ConvexResult {
  /** The point with the smallest value. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  readonly iterations: number
  readonly evaluations: Evaluations
  readonly status: Status
}

/**
 * Minimizes a convex function over a convex set by the methods of S. Bubeck's monograph, Convex Optimization: Algorithms and Complexity (2015, arXiv
 * 1405.4980), each with the accuracy it is proved to have.
 *
 * @param start where to begin; it is not changed, and projected into the set first where `project` or bounds say how.
 * @returns the point with the smallest value, also where the objective has thrown, a limit was reached or the method has failed; status
 * `unbounded` where a value is minus infinity, and `failed` where cutting planes or the barrier find no inside of the set.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function convex(
  objective: ((x: Float64Array) => number) | ConvexObjective,
  start: Numbers,
  options: ConvexOptions = {},
): ConvexResult {
  const { method = 'acceleratedGradient', iterations = 1000, inequalities } = options
  const chosen: ConvexMethod | undefined = convexMethods[method]
  if (!chosen) throw new RangeError(`method: '${method}' is not one of ${Object.keys(convexMethods).join(', ')}`)
  const from = Float64Array.from(start)
  const wrong = from.findIndex((element) => !Number.isFinite(element))
  if (wrong >= 0) throw new RangeError(`start[${wrong}]: ${from[wrong]} is not a finite number`)
  const settings: ConvexSettings = {
    strongConvexity: 0,
    radius: 10,
    mirror: 'euclidean',
    power: 0,
    tolerance: 1e-6,
    seed: 0,
    ...options,
    iterations,
  }
  for (const name of ['radius', 'smoothness', 'lipschitz'] as const) {
    if (settings[name] !== undefined && !(settings[name]! > 0)) {
      throw new RangeError(`${name}: ${settings[name]} is not above 0`)
    }
  }
  const problem = new ConvexProblem(objective, from.length, options, inequalities)
  let best: ConvexState | undefined
  const ended = runSolver(
    lowest(chosen.solve(problem, problem.project(from), settings), (state) => {
      if (best === undefined || state.value < best.value) best = state
    }),
    { ...options, iterations },
    () => problem.evaluations.values,
  )
  const found = best ?? { point: from, value: Infinity, residual: Infinity }
  return {
    point: found.point.slice(),
    value: found.value,
    residual: ended.best?.residual ?? found.residual,
    iterations: ended.iterations,
    evaluations: problem.evaluations,
    status: ended.status,
  }
}

/** Shows every state, and ends where there is nothing lower. */
function* lowest(
  solving: Generator<ConvexState, Status, void>,
  see: (state: ConvexState) => void,
): Generator<ConvexState, Status, void> {
  for (;;) {
    const next = solving.next()
    if (next.done) return next.value
    see(next.value)
    yield next.value
    if (next.value.value === -Infinity) return { kind: 'unbounded' }
  }
}
