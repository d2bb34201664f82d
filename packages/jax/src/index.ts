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
