import type { Problem } from './problem.ts'
import type { Residuals } from './residuals.ts'
import type { Solving } from './state.ts'

/** When a method is content. */
export interface Tolerances {
  /**
   * Largest absolute element of the gradient (projected, where there are bounds). Default 1e-5, as in SciPy. For methods that take values
   * only: how far apart the points are that they compare, and the values there.
   */
  readonly gradient: number
  /** Relative change of the value in one iteration. Default 0: not a reason to end. */
  readonly value: number
  /** Change of the point in one iteration, relative to the point. Default 0: not a reason to end. */
  readonly step: number
}

/** What a method of `minimize` can take. */
export interface Abilities {
  readonly bounds: boolean
  /** Takes values only. */
  readonly withoutGradient?: boolean
  /** Searches a whole box: has to have a finite lower and upper bound for every variable. */
  readonly needsBounds?: boolean
  /** Looks for the lowest of many minima, and ends by a schedule of its own. */
  readonly global?: boolean
  /** Takes equalities and inequalities. */
  readonly constraints?: boolean
}

/** A method of `minimize`: one file that reads like its paper, and one line of the registry. */
export interface Minimizer {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly takes: Abilities
  /** Begins at a point that is within the bounds. Gives a state for the start and one after each iteration. */
  readonly solve: (problem: Problem, start: Float64Array, tolerances: Tolerances, seed: number) => Solving
}

/** Where a trust region begins, in which units. */
export interface Region {
  /** The characteristic size of each variable. Default: the inverse norms of the columns of the Jacobian. */
  readonly scale?: Float64Array
  /** Length of the longest first step, relative to that of the start. Default 1. */
  readonly radius?: number
}

/** A method of `leastSquares`. */
export interface LeastSquaresMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly takes: Pick<Abilities, 'bounds'>
  /** Gives a state for the start and one after each iteration. */
  readonly solve: (problem: Residuals, start: Float64Array, tolerances: Tolerances, region: Region) => Solving
}

/** When a method for equations is content. */
export interface EquationTolerances {
  /** Largest absolute residual. Default 1e-10. Brent's method does not end by it. */
  readonly residual: number
  /** Change of the point in one iteration, or width of the bracket, relative to the point. Default 0: up to rounding. */
  readonly step: number
}

/** What single methods for equations can be told. */
export interface EquationSettings {
  /** Two points between which the sign changes, for 'brent'. */
  readonly bracket?: readonly [number, number]
  /** How many differences Anderson mixing keeps. Default 5. */
  readonly memory?: number
  /** How far Anderson mixing goes along the residuals. Default 1. */
  readonly mixing?: number
}

/** A method of `root` or `fixedPoint`: makes residuals zero that are as many as the variables. */
export interface EquationMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly takes: { readonly variables: 'one' | 'any'; readonly bracket?: 'needed' }
  /** Gives a state for the start and one after each iteration. Its value is half the sum of squares. */
  readonly solve: (
    problem: Residuals,
    start: Float64Array,
    tolerances: EquationTolerances,
    settings: EquationSettings,
  ) => Solving
}
