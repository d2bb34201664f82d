import type { LeastSquaresMethod } from './least-squares.ts'
import type { Minimizer } from './method.ts'
import { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
import { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
import { bfgs } from './methods/minimize/bfgs.ts'

/** Every method of `minimize`, by name: what tests, benchmark, documentation and command line go through. */
export const minimizers = {
  bfgs,
} as const satisfies Readonly<Record<string, Minimizer>>

export type MinimizerName = keyof typeof minimizers

/** Every method of `leastSquares`, by name. */
export const leastSquaresMethods = {
  levenbergMarquardt,
  trustRegionReflective,
} as const satisfies Readonly<Record<string, LeastSquaresMethod>>

export type LeastSquaresName = keyof typeof leastSquaresMethods
