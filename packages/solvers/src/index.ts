export {
  type LeastSquaresOptions,
  type LeastSquaresResult,
  leastSquares,
} from './least-squares.ts'
export type {
  Abilities,
  EquationMethod,
  EquationSettings,
  EquationTolerances,
  LeastSquaresMethod,
  Minimizer,
  Region,
  Tolerances,
} from './method.ts'
export { anderson } from './methods/fixed-point/anderson.ts'
export { halpern } from './methods/fixed-point/halpern.ts'
export { plain } from './methods/fixed-point/plain.ts'
export { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
export { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
export { bfgs } from './methods/minimize/bfgs.ts'
export { brent } from './methods/root/brent.ts'
export { broyden } from './methods/root/broyden.ts'
export { newton } from './methods/root/newton.ts'
export { secant } from './methods/root/secant.ts'
export { type Limits, type MinimizeOptions, minimize, type Result } from './minimize.ts'
export type { Bounds, Evaluations, Objective } from './objective.ts'
export { type Differences, Problem, type ProblemOptions } from './problem.ts'
export {
  type FixedPointName,
  fixedPointMethods,
  type LeastSquaresName,
  leastSquaresMethods,
  type MinimizerName,
  minimizers,
  type RootName,
  rootMethods,
} from './registry.ts'
export { type Fit, type Found, type LinearModel, type Loss, Residuals, type ResidualsOptions } from './residuals.ts'
export {
  type FixedPointOptions,
  fixedPoint,
  type RootOptions,
  type RootResult,
  root,
} from './root.ts'
export type { Solving, State, Status } from './state.ts'
export type { Numbers } from './vector.ts'
