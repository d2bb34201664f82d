import type { EquationMethod, LeastSquaresMethod, Minimizer } from './method.ts'
import { anderson } from './methods/fixed-point/anderson.ts'
import { halpern } from './methods/fixed-point/halpern.ts'
import { plain } from './methods/fixed-point/plain.ts'
import { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
import { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
import { bfgs } from './methods/minimize/bfgs.ts'
import { brent } from './methods/root/brent.ts'
import { broyden } from './methods/root/broyden.ts'
import { newton } from './methods/root/newton.ts'
import { secant } from './methods/root/secant.ts'

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

/** Every method of `root`, by name. */
export const rootMethods = {
  brent,
  secant,
  newton,
  broyden,
  anderson,
} as const satisfies Readonly<Record<string, EquationMethod>>

export type RootName = keyof typeof rootMethods

/** Every method of `fixedPoint`, by name. */
export const fixedPointMethods = {
  plain,
  anderson,
  halpern,
} as const satisfies Readonly<Record<string, EquationMethod>>

export type FixedPointName = keyof typeof fixedPointMethods
