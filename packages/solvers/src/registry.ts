import type { EquationMethod, LeastSquaresMethod, Minimizer } from './method.ts'
import { anderson } from './methods/fixed-point/anderson.ts'
import { halpern } from './methods/fixed-point/halpern.ts'
import { plain } from './methods/fixed-point/plain.ts'
import { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
import { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
import { augmentedLagrangian } from './methods/minimize/augmented-lagrangian.ts'
import { basinHopping } from './methods/minimize/basin-hopping.ts'
import { bfgs } from './methods/minimize/bfgs.ts'
import { cg } from './methods/minimize/cg.ts'
import { cobyla } from './methods/minimize/cobyla.ts'
import { differentialEvolution } from './methods/minimize/differential-evolution.ts'
import { direct } from './methods/minimize/direct.ts'
import { dualAnnealing } from './methods/minimize/dual-annealing.ts'
import { lbfgs } from './methods/minimize/l-bfgs.ts'
import { lbfgsb } from './methods/minimize/l-bfgs-b.ts'
import { nelderMead } from './methods/minimize/nelder-mead.ts'
import { newtonCg } from './methods/minimize/newton-cg.ts'
import { powell } from './methods/minimize/powell.ts'
import { slsqp } from './methods/minimize/slsqp.ts'
import { tnc } from './methods/minimize/tnc.ts'
import { dogleg, trustExact, trustNcg } from './methods/minimize/trust-region.ts'
import { brent } from './methods/root/brent.ts'
import { broyden } from './methods/root/broyden.ts'
import { newton } from './methods/root/newton.ts'
import { secant } from './methods/root/secant.ts'

/** Every method of `minimize`, by name: what tests, benchmark, documentation and command line go through. */
export const minimizers = {
  bfgs,
  'l-bfgs': lbfgs,
  'l-bfgs-b': lbfgsb,
  'nelder-mead': nelderMead,
  cg,
  powell,
  'newton-cg': newtonCg,
  dogleg,
  'trust-ncg': trustNcg,
  'trust-exact': trustExact,
  tnc,
  'differential-evolution': differentialEvolution,
  'dual-annealing': dualAnnealing,
  'basin-hopping': basinHopping,
  direct,
  slsqp,
  cobyla,
  'augmented-lagrangian': augmentedLagrangian,
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
