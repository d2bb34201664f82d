import type { Dimensions } from '../graph/dimensions.ts'

/**
 * A matrix function as the planner and every backend know it: what it takes and gives, what it needs, what it costs. Its
 * float64 meaning stands beside it and is in `references`; each backend brings its own implementation.
 */
export interface Routine {
  /** Its name in a formula. */
  readonly title: string
  /** True where the operands do not say what dimensions the result has: it gives one, of those that it is asked for. */
  readonly sized?: true
  /**
   * The dimensions of what it gives.
   * @param asked what whoever calls it asks for, if it is `sized`.
   * @throws Error when the operands do not fit.
   */
  readonly results: (operands: readonly Dimensions[], asked: Dimensions) => readonly Dimensions[]
  /** True for what can fail on finite numbers, such as those that are too large for it: then its results are not finite. */
  readonly factors?: true
  /** How many additions, multiplications and the like it does. */
  readonly operations: (operands: readonly Dimensions[], asked: Dimensions) => number
}

/** The float64 meaning of a routine. */
export type RoutineReference = (
  operands: readonly { readonly values: Float64Array; readonly dimensions: Dimensions }[],
  asked: Dimensions,
) => readonly Float64Array[]
