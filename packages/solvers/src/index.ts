export {
  type BilevelMethod,
  type BilevelMethodName,
  type BilevelOptions,
  type BilevelProblem,
  type BilevelResult,
  type BilevelSettings,
  type BilevelState,
  bilevel,
  bilevelMethods,
  type CoupledConstraints,
  type Level,
  Levels,
} from './bilevel.ts'
export { buyInformation, type InformationOptions, type InformationResult } from './buy-information.ts'
export {
  type ConvexMethod,
  type ConvexMethodName,
  type ConvexObjective,
  type ConvexOptions,
  ConvexProblem,
  type ConvexResult,
  type ConvexSettings,
  type ConvexState,
  convex,
  convexMethods,
  type Inequalities,
} from './convex.ts'
export {
  type DisplacementMethod,
  type DisplacementState,
  displacements,
  type FeasibilityOptions,
  type FeasibilityResult,
  feasibility,
} from './feasibility.ts'
export {
  type LinearProgram,
  type LinearProgramOptions,
  type LinearProgramResult,
  linearProgram,
} from './linear-program.ts'
export { euclidean, hyperbolic, type Manifold, positiveDefinite, sphere, stiefel } from './manifolds.ts'
export type { Abilities, Minimizer, Tolerances } from './method.ts'
export type { HalfSpace } from './methods/convex/polytope.ts'
export { bfgs } from './methods/minimize/bfgs.ts'
export { type Limits, type MinimizeOptions, minimize, type Result } from './minimize.ts'
export type { Bounds, Evaluations, Objective } from './objective.ts'
export {
  type Learner,
  type OnlineLoss,
  type OnlineMethod,
  type OnlineMethodName,
  type OnlineOptions,
  type OnlineResult,
  type OnlineSettings,
  type OnlineState,
  online,
  onlineMethods,
} from './online.ts'
export { type Differences, Problem, type ProblemOptions } from './problem.ts'
export { type MinimizerName, minimizers } from './registry.ts'
export { type RiemannianMethodName, type RiemannianOptions, type RiemannianResult, riemannian } from './riemannian.ts'
export {
  Field,
  type Game,
  type SaddleMethod,
  type SaddleMethodName,
  type SaddleOptions,
  type SaddleResult,
  type SaddleSettings,
  type SaddleState,
  saddleMethods,
  saddlePoint,
} from './saddle-point.ts'
export type { Solving, State, Status } from './state.ts'
export {
  type Shipment,
  type Transporter,
  type TransporterName,
  type TransportOptions,
  type TransportResult,
  type TransportSettings,
  type TransportState,
  transport,
  transporters,
} from './transport.ts'
export type { Numbers } from './vector.ts'
