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

/** One condition, or several of a kind, on the variables. */
export interface Constraint {
  /** What `value` gives has to be zero, or has to be at least zero, as in SciPy. */
  readonly kind: 'equality' | 'inequality'
  value(x: Float64Array): number | Numbers
  /** The gradient where `value` gives a number, else the rows of the Jacobian matrix. By finite differences where it is missing. */
  jacobian?(x: Float64Array): Numbers | readonly Numbers[]
}

/** How often the parts of an objective were asked. */
export interface Evaluations {
  readonly values: number
  readonly gradients: number
  readonly hessianProducts: number
  readonly hessians: number
  /** How often all constraints were asked; only where there are some. */
  readonly constraints?: number
}
