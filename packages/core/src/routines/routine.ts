import type { Dimensions } from '../graph/dimensions.ts'

/**
 * A matrix function as the planner and every backend know it: what it takes and gives, what it needs, what it costs. Its
 * float64 meaning stands beside it and is in `references`; each backend brings its own implementation.
 */
export interface Routine {
  /** Its name in a formula. */
  readonly title: string
  /**
   * The dimensions of what it gives; `asked` for routines that give whatever size is asked for.
   * @throws Error when the operands do not fit.
   */
  readonly results: (operands: readonly Dimensions[], asked?: Dimensions) => readonly Dimensions[]
  /** How many additions, multiplications and the like it does. */
  readonly operations: (operands: readonly Dimensions[]) => number
}

/** The float64 meaning of a routine; `asked` are the dimensions of its first result. */
export type RoutineReference = (
  operands: readonly { readonly values: Float64Array; readonly dimensions: Dimensions }[],
  asked?: Dimensions,
) => readonly Float64Array[]
