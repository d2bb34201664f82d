export { type ChebyshevArguments, chebyshev } from './chebyshev.ts'
export { constant } from './constant.ts'
export { type ConvexOptimalArguments, convexOptimal } from './convex-optimal.ts'
export { type CosineArguments, cosine } from './cosine.ts'
export { type CosineRestartsArguments, cosineRestarts } from './cosine-restarts.ts'
export { countFromZero } from './count-from-zero.ts'
export { type CycleShape, type CyclicArguments, cyclic } from './cyclic.ts'
export { type ExponentialArguments, exponential } from './exponential.ts'
export { type ExtendedRunArguments, extendedRun } from './extended-run.ts'
export {
  type GradientNormWarmupArguments,
  type GradientNormWarmupState,
  gradientNormWarmup,
} from './gradient-norm-warmup.ts'
export { type InverseSquareRootArguments, inverseSquareRoot } from './inverse-square-root.ts'
export { type JoinPart, join } from './join.ts'
export { type KDecayArguments, kDecay } from './k-decay.ts'
export { type LinearArguments, linear } from './linear.ts'
export { type OneCycleArguments, oneCycle } from './one-cycle.ts'
export { type PolynomialArguments, polynomial } from './polynomial.ts'
export { type ProportionArguments, proportion } from './proportion.ts'
export { type ReduceOnPlateauArguments, type ReduceOnPlateauState, reduceOnPlateau } from './reduce-on-plateau.ts'
export { type RefinedArguments, refined } from './refined.ts'
export type { ReportingSchedule } from './reporting.ts'
export { type RexArguments, rex } from './rex.ts'
export { evaluateSchedule, type HyperValue, isSchedule, type Schedule, type ScheduleFunction } from './schedule.ts'
export { type StepwiseArguments, stepwise } from './stepwise.ts'
export {
  type UntilLossFlattensArguments,
  type UntilLossFlattensState,
  untilLossFlattens,
} from './until-loss-flattens.ts'
export { type WarmupArguments, type WarmupCosineArguments, warmup, warmupCosine } from './warmup.ts'
export { type DecayShape, type WarmupStableDecayArguments, warmupStableDecay } from './warmup-stable-decay.ts'
