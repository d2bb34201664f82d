export {
  type LeastSquaresMethod,
  type LeastSquaresOptions,
  type LeastSquaresResult,
  leastSquares,
  type Region,
} from './least-squares.ts'
export type { Abilities, Minimizer, Tolerances } from './method.ts'
export { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
export { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
export { bfgs } from './methods/minimize/bfgs.ts'
export { type Limits, type MinimizeOptions, minimize, type Result } from './minimize.ts'
export type { Bounds, Evaluations, Objective } from './objective.ts'
export { type Differences, Problem, type ProblemOptions } from './problem.ts'
export { type LeastSquaresName, leastSquaresMethods, type MinimizerName, minimizers } from './registry.ts'
export { type Fit, type LinearModel, type Loss, Residuals, type ResidualsOptions } from './residuals.ts'
export type { Solving, State, Status } from './state.ts'
export type { Numbers } from './vector.ts'
