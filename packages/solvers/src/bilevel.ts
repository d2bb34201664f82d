import { type DoorLimits, runSolver } from './door.ts'
import { boRep } from './methods/bilevel/bo-rep.ts'
import { f2sa } from './methods/bilevel/f2sa.ts'
import { lvHba } from './methods/bilevel/lv-hba.ts'
import { penalty } from './methods/bilevel/penalty.ts'
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

/** Every method of `bilevel`, by name. */
export const bilevelMethods = {
  penalty,
  f2sa,
  boRep,
  lvHba,
} as const satisfies Readonly<Record<string, BilevelMethod>>

export type BilevelMethodName = keyof typeof bilevelMethods

export interface BilevelOptions extends Partial<BilevelSettings>, DoorLimits<BilevelState> {
  /** Default 'penalty'. */
  readonly method?: BilevelMethodName
}

export interface BilevelResult {
  readonly x: Float64Array
  readonly y: Float64Array
  readonly residual: number
  readonly iterations: number
  /** How many gradients of each level were asked for. */
  readonly evaluations: { readonly upper: number; readonly lower: number }
  readonly status: Status
}

/**
 * Minimizes over x a function f(x, y) of which y is itself a minimum, of g(x, y) over y. Only gradients of the two are asked for.
 *
 * @returns the state with the smallest residual, also where a gradient has thrown or a limit was reached: `status` says which.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function bilevel(
  problem: BilevelProblem,
  start: { readonly x: Numbers; readonly y: Numbers },
  options: BilevelOptions = {},
): BilevelResult {
  const { method = 'penalty', iterations = 10_000 } = options
  const chosen: BilevelMethod | undefined = bilevelMethods[method]
  if (!chosen) throw new RangeError(`method: '${method}' is not one of ${Object.keys(bilevelMethods).join(', ')}`)
  const from = { x: Float64Array.from(start.x), y: Float64Array.from(start.y) }
  for (const name of ['x', 'y'] as const) {
    const wrong = from[name].findIndex((element) => !Number.isFinite(element))
    if (wrong >= 0) throw new RangeError(`start.${name}[${wrong}]: ${from[name][wrong]} is not a finite number`)
  }
  const settings: BilevelSettings = {
    step: 0.1,
    innerStep: 0.1,
    inner: 10,
    penalty: 10,
    growth: 1 / 3,
    momentum: 0.9,
    period: 2,
    proximal: 1,
    tolerance: 1e-6,
    ...options,
  }
  for (const name of ['step', 'innerStep', 'inner', 'penalty', 'period', 'proximal'] as const) {
    if (!(settings[name] > 0)) throw new RangeError(`${name}: ${settings[name]} is not above 0`)
  }
  const levels = new Levels(problem, from.x.length, from.y.length)
  const {
    best,
    iterations: done,
    status,
  } = runSolver(
    chosen.solve(levels, { x: levels.project(from.x), y: from.y }, settings),
    { ...options, iterations },
    () => levels.upper,
  )
  return {
    x: best?.x ?? from.x,
    y: best?.y ?? from.y,
    residual: best?.residual ?? Infinity,
    iterations: done,
    evaluations: { upper: levels.upper, lower: levels.lower },
    status,
  }
}
