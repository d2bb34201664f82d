import type { Problem } from './problem.ts'
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
