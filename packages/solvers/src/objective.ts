import type { Numbers } from './vector.ts'

/**
 * What is minimized: a function, or an object that knows more of it. What a method needs and an objective lacks is supplied by finite
 * differences, which cost evaluations of the value.
 */
export interface Objective {
  value(x: Float64Array): number
  gradient?(x: Float64Array): Numbers
  /** H(x) d. */
  hessianProduct?(x: Float64Array, direction: Float64Array): Numbers
  /** The rows of H(x). */
  hessian?(x: Float64Array): readonly Numbers[]
  /** The minimum over y of g(y) + |y - x|² / (2 step), where the objective is the value plus a function g that has this proximal point. */
  prox?(x: Float64Array, step: number): Numbers
  /** The nearest point that is allowed. */
  project?(x: Float64Array): Numbers
}

/** Lower and upper limits, one pair for each variable; null or an infinite number where there is none. */
export type Bounds = readonly (readonly [lower: number | null, upper: number | null])[]

/** How often the parts of an objective were asked. */
export interface Evaluations {
  readonly values: number
  readonly gradients: number
  readonly hessianProducts: number
  readonly hessians: number
}
