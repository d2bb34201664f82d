export type { Json } from './json.ts'
export type { Pruner } from './pruners/pruner.ts'
export { pruners } from './pruners/registry.ts'
export { type Random, random } from './random.ts'
export { type ConformalQuantilesOptions, conformalQuantiles } from './samplers/conformal-quantiles.ts'
export { type GaussianProcessOptions, gaussianProcess } from './samplers/gaussian-process.ts'
export { randomSearch } from './samplers/random.ts'
export { samplers } from './samplers/registry.ts'
export type { Proposal, Request, Sampler } from './samplers/sampler.ts'
export { type TpeOptions, tpe } from './samplers/tpe.ts'
export {
  type Coordinate,
  type Dimension,
  type Point,
  size,
  valueCount,
} from './space/dimension.ts'
export {
  type ChoiceDomain,
  choice,
  type Definition,
  type Domain,
  float,
  integer,
  type NumberDomain,
  type Parameter,
  type ParameterValue,
  type RangeOptions,
  type ValuesOf,
  type VariantOf,
  variant,
} from './space/domain.ts'
export { type Constraint, type Parameters, type Space, type SpaceRecord, space, spaceOf } from './space/space.ts'
export { memoryStorage } from './storage/memory.ts'
export type {
  Changes,
  Ending,
  Held,
  Holder,
  Start,
  Storage,
  StudyRecord,
} from './storage/storage.ts'
export type { Best } from './study/best.ts'
export type { Confirmation, ConfirmOptions } from './study/confirm.ts'
export type { Budget, Objective as ObjectiveFunction, Standing } from './study/optimize.ts'
export type { Outcome } from './study/outcome.ts'
export { NothingToTry, Stopped, type Trial, type Working } from './study/run.ts'
export { type StopRule, whenNoGain, whenReached } from './study/stop.ts'
export { openStudy, Study, type StudyOptions } from './study/study.ts'
export { isEnd, type Lease, type Report, type TrialRecord, type TrialState } from './study/trial.ts'
export { type Objective, type Resource, type SeenTrial, type View, violation } from './study/view.ts'
