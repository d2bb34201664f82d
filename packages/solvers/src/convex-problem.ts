import type { HalfSpace } from './methods/convex/polytope.ts'
import type { Objective } from './objective.ts'
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
  /** τ: how many variables `blockCoordinateDescent` moves at a time. Default 5. */
  readonly blockSize?: number
  /** Which: those that promise most, the best of fixed blocks, or random ones. Default 'greedy'. */
  readonly block?: 'greedy' | 'fixed' | 'random'
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
