export { type BilevelMethodName, type BilevelOptions, type BilevelResult, bilevel, bilevelMethods } from './bilevel.ts'
export { buyInformation, type InformationOptions, type InformationResult } from './buy-information.ts'
export {
  type CompletionOptions,
  type CompletionResult,
  type CompletionState,
  completeMatrix,
  type Entry,
} from './complete-matrix.ts'
export { type ConvexMethodName, type ConvexOptions, type ConvexResult, convex, convexMethods } from './convex.ts'
export {
  type ConvexMethod,
  type ConvexObjective,
  ConvexProblem,
  type ConvexSettings,
  type ConvexState,
  type Inequalities,
} from './convex-problem.ts'
export {
  type DualDynamicOptions,
  type DualDynamicResult,
  type DualDynamicState,
  type Outcome,
  type Stage,
  stochasticDualDynamicProgramming,
} from './dual-dynamic-programming.ts'
export {
  type DisplacementMethod,
  type DisplacementState,
  displacements,
  type FeasibilityOptions,
  type FeasibilityResult,
  feasibility,
} from './feasibility.ts'
export {
  type FeasibleOptions,
  type FeasibleResult,
  type FeasibleState,
  feasibleLearning,
  feasibleLearningStates,
  type SampleLosses,
} from './feasible-learning.ts'
export { Field, type Game, type SaddleMethod, type SaddleSettings, type SaddleState } from './field.ts'
export {
  type Edge,
  type GinzburgLandauOptions,
  type GinzburgLandauResult,
  type GinzburgLandauState,
  ginzburgLandau,
  ginzburgLandauStates,
} from './ginzburg-landau.ts'
export type { Learner, OnlineLoss, OnlineMethod, OnlineSettings } from './learner.ts'
export { type LeastSquaresOptions, type LeastSquaresResult, leastSquares } from './least-squares.ts'
export {
  type BilevelMethod,
  type BilevelProblem,
  type BilevelSettings,
  type BilevelState,
  type CoupledConstraints,
  type Level,
  Levels,
} from './levels.ts'
export type { Found } from './line-search.ts'
export {
  type LinearProgram,
  type LinearProgramOptions,
  type LinearProgramResult,
  linearProgram,
} from './linear-program.ts'
export { euclidean, hyperbolic, type Manifold, positiveDefinite, sphere, stiefel } from './manifolds.ts'
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
export type { HalfSpace } from './methods/convex/polytope.ts'
export { anderson } from './methods/fixed-point/anderson.ts'
export { halpern } from './methods/fixed-point/halpern.ts'
export { plain } from './methods/fixed-point/plain.ts'
export { levenbergMarquardt } from './methods/least-squares/levenberg-marquardt.ts'
export { trustRegionReflective } from './methods/least-squares/trust-region-reflective.ts'
export { augmentedLagrangian } from './methods/minimize/augmented-lagrangian.ts'
export { basinHopping } from './methods/minimize/basin-hopping.ts'
export { bfgs } from './methods/minimize/bfgs.ts'
export { cg } from './methods/minimize/cg.ts'
export { cobyla } from './methods/minimize/cobyla.ts'
export { differentialEvolution } from './methods/minimize/differential-evolution.ts'
export { direct } from './methods/minimize/direct.ts'
export { dualAnnealing } from './methods/minimize/dual-annealing.ts'
export { lbfgs } from './methods/minimize/l-bfgs.ts'
export { lbfgsb } from './methods/minimize/l-bfgs-b.ts'
export { nelderMead } from './methods/minimize/nelder-mead.ts'
export { newtonCg } from './methods/minimize/newton-cg.ts'
export { powell } from './methods/minimize/powell.ts'
export { slsqp } from './methods/minimize/slsqp.ts'
export { tnc } from './methods/minimize/tnc.ts'
export { dogleg, trustExact, trustNcg } from './methods/minimize/trust-region.ts'
export { brent } from './methods/root/brent.ts'
export { broyden } from './methods/root/broyden.ts'
export { newton } from './methods/root/newton.ts'
export { secant } from './methods/root/secant.ts'
export { type Limits, type MinimizeOptions, minimize, type Result } from './minimize.ts'
export {
  type MultiBlockOptions,
  type MultiBlockProblem,
  type MultiBlockResult,
  type MultiBlockState,
  multiBlockBilevel,
} from './multi-block-bilevel.ts'
export type { Bounds, Constraint, Evaluations, Objective } from './objective.ts'
export {
  type OnlineMethodName,
  type OnlineOptions,
  type OnlineResult,
  type OnlineState,
  online,
  onlineMethods,
} from './online.ts'
export {
  type MarginOptions,
  type MarginResult,
  type MarginState,
  type ObservedDecision,
  optimalityMargin,
  optimalityMarginStates,
} from './optimality-margin.ts'
export { type Constrained, type Differences, Problem, type ProblemOptions } from './problem.ts'
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
export { type Fit, type LinearModel, type Loss, Residuals, type ResidualsOptions } from './residuals.ts'
export { type RiemannianMethodName, type RiemannianOptions, type RiemannianResult, riemannian } from './riemannian.ts'
export { type FixedPointOptions, fixedPoint, type RootOptions, type RootResult, root } from './root.ts'
export {
  type SaddleMethodName,
  type SaddleOptions,
  type SaddleResult,
  saddleMethods,
  saddlePoint,
} from './saddle-point.ts'
export type { Shipment, Transporter, TransportSettings, TransportState } from './shipment.ts'
export {
  type SketchedNewtonOptions,
  type SketchedNewtonResult,
  type SketchedNewtonState,
  sketchedNewton,
} from './sketched-newton.ts'
export type { Solving, State, Status } from './state.ts'
export {
  type TopologicalOptions,
  type TopologicalResult,
  type TopologicalState,
  topologicalSwapStates,
  topologicalSwaps,
} from './topological-swaps.ts'
export {
  type TransporterName,
  type TransportOptions,
  type TransportResult,
  transport,
  transporters,
} from './transport.ts'
export type { Numbers } from './vector.ts'
export {
  type AbsoluteResiduals,
  type ModelBasedMethod,
  type Sample,
  type WeaklyConvexMethodName,
  type WeaklyConvexOptions,
  type WeaklyConvexResult,
  type WeaklyConvexState,
  weaklyConvex,
  weaklyConvexMethods,
} from './weakly-convex.ts'
