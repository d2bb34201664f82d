// The types of jax-js name Float16Array.
/// <reference lib="esnext.float16" preserve="true" />
export {
  addDecayedWeights,
  type CountSchedule,
  chain,
  clipByGlobalNorm,
  scaleBySchedule,
} from './compatibility.ts'
export { type DifferentiableModel, differentiate, type ModelOnBatch } from './differentiate.ts'
export type { GradientTransformation } from './gradient-transformation.ts'
export {
  Hypernetwork,
  type HypernetworkModel,
  type HypernetworkOptions,
  hypernetwork,
} from './hypergradients/hypernetwork.ts'
export { type ImplicitHypergradient, implicitHypergradient } from './hypergradients/implicit.ts'
export { conjugateGradient, type InverseHessian, neumannSeries } from './hypergradients/inverse-hessian.ts'
export {
  type TwoStageGradient,
  type TwoStageLosses,
  type TwoStageOptions,
  twoStageGradient,
} from './hypergradients/two-stage.ts'
export {
  type TrainingPoint,
  type UnrolledHypergradient,
  type UnrolledOptions,
  unrolledHypergradient,
} from './hypergradients/unrolled.ts'
export type { Longer, Loss, LossInParts, ModelOptions } from './model.ts'
export type { Tree } from './parameters.ts'
export type { Scalars, State } from './replay.ts'
export { createTrainer, type Trainer, type TrainerOptions, type TrainerPath } from './trainer.ts'
export {
  applyUpdates,
  type FalllineTransformation,
  gradientTransformation,
  type TransformationOptions,
} from './transformation.ts'
