import type { Status } from './state.ts'
import { type Numbers, norm } from './vector.ts'

/** A function of x and y by its two gradients; these may be noisy. */
export interface Level {
  gradientX(x: Float64Array, y: Float64Array): Numbers
  gradientY(x: Float64Array, y: Float64Array): Numbers
}

/** G(x, y) ≤ 0, row by row, for the lower level. */
export interface CoupledConstraints {
  values(x: Float64Array, y: Float64Array): Numbers
  /** Rows of ∂G/∂x. */
  jacobianX(x: Float64Array, y: Float64Array): readonly Numbers[]
  /** Rows of ∂G/∂y. */
  jacobianY(x: Float64Array, y: Float64Array): readonly Numbers[]
  /** The nearest (x, y) with G(x, y) ≤ 0. */
  project(x: Float64Array, y: Float64Array): readonly [x: Numbers, y: Numbers]
}

/** min over x of f(x, y*), y* = argmin over y of g(x, y): f is the upper level, g the lower one. */
export interface BilevelProblem {
  readonly upper: Level
  readonly lower: Level
  /** The nearest x that is allowed. */
  projectX?(x: Float64Array): Numbers
  /** For `lvHba`: which also takes lower levels without. */
  readonly constraints?: CoupledConstraints
}

/** What the methods of `bilevel` are told. */
export interface BilevelSettings {
  /** Step of x. Default 0.1. */
  readonly step: number
  /** Step of y on the lower level. Default 0.1. */
  readonly innerStep: number
  /** Steps on the lower level for each of x. Default 10. */
  readonly inner: number
  /** λ = 1 / σ: how much the lower level weighs against the upper one. Default 10. */
  readonly penalty: number
  /** λ grows as the number of the iteration to this power. Default 1 / 3; 0 keeps it. */
  readonly growth: number
  /** Of the normalized momentum of `boRep`. Default 0.9. */
  readonly momentum: number
  /** `boRep` updates y every so many iterations. Default 2. */
  readonly period: number
  /** γ of the proximal Lagrangian of `lvHba`. Default 1. */
  readonly proximal: number
  /** Largest residual. Default 1e-6. */
  readonly tolerance: number
}

/** Where a method of `bilevel` is. */
export interface BilevelState {
  readonly x: Float64Array
  readonly y: Float64Array
  /** Length of the estimated hypergradient (of the gradient mapping, where x has a set), plus how far the lower level is from solved. */
  readonly residual: number
}

/** The two levels, with their gradients checked and counted. */
export class Levels {
  upper = 0
  lower = 0

  constructor(
    readonly problem: BilevelProblem,
    readonly sizeX: number,
    readonly sizeY: number,
  ) {}

  fx(x: Float64Array, y: Float64Array): Float64Array {
    this.upper++
    return this.#checked('upper.gradientX', this.problem.upper.gradientX(x.slice(), y.slice()), this.sizeX)
  }

  fy(x: Float64Array, y: Float64Array): Float64Array {
    this.upper++
    return this.#checked('upper.gradientY', this.problem.upper.gradientY(x.slice(), y.slice()), this.sizeY)
  }

  gx(x: Float64Array, y: Float64Array): Float64Array {
    this.lower++
    return this.#checked('lower.gradientX', this.problem.lower.gradientX(x.slice(), y.slice()), this.sizeX)
  }

  gy(x: Float64Array, y: Float64Array): Float64Array {
    this.lower++
    return this.#checked('lower.gradientY', this.problem.lower.gradientY(x.slice(), y.slice()), this.sizeY)
  }

  /** The products ∂yy g d and ∂xy g d, from differences of gradients. */
  secondAlong(x: Float64Array, y: Float64Array, d: Float64Array): { yy: Float64Array; xy: Float64Array } {
    const length = norm(d)
    if (length === 0) return { yy: new Float64Array(this.sizeY), xy: new Float64Array(this.sizeX) }
    const h = (Number.EPSILON ** (1 / 3) * (1 + norm(y))) / length
    const ahead = y.map((element, i) => element + h * d[i]!)
    const behind = y.map((element, i) => element - h * d[i]!)
    const slope = (a: Float64Array, b: Float64Array) => a.map((element, i) => (element - b[i]!) / (2 * h))
    return {
      yy: slope(this.gy(x, ahead), this.gy(x, behind)),
      xy: slope(this.gx(x, ahead), this.gx(x, behind)),
    }
  }

  project(x: Float64Array): Float64Array {
    return this.problem.projectX ? this.#checked('projectX', this.problem.projectX(x.slice()), this.sizeX) : x
  }

  #checked(name: string, given: Numbers, size: number): Float64Array {
    if (given.length !== size) throw new RangeError(`${name}: ${given.length} numbers were given for ${size} variables`)
    return Float64Array.from(given)
  }
}

/** A method of `bilevel`: begins at x and y, and gives a state for them and after each iteration. */
export interface BilevelMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly solve: (
    levels: Levels,
    start: { readonly x: Float64Array; readonly y: Float64Array },
    settings: BilevelSettings,
  ) => Generator<BilevelState, Status, void>
}
