export {
  type AverageSnapshot,
  type ReconstructedAverage,
  type ReconstructOptions,
  reconstructAverage,
  snapshotAverages,
} from './averages/reconstruct.ts'
export type { Backend, FloatArray, Precision } from './backends/backend.ts'
export { reference } from './backends/reference/interpreter.ts'
export { type WasmOptions, wasm } from './backends/wasm/backend.ts'
export { compilationCount } from './backends/wasm/kernels.ts'
export * from './batch-size/index.ts'
export { type CompileOptions, compile, compileRunning } from './compile.ts'
export {
  type ConvexBound,
  type ConvexBoundArguments,
  type ConvexRun,
  convexBound,
  transferLearningRate,
} from './convex/convex-bound.ts'
export { Egn, type EgnOptions, type EgnResult, egn, type Linearization, type Linearize } from './curvature/egn.ts'
export { Fosi, type FosiOptions, fosi } from './curvature/fosi.ts'
export type { ParameterArrays } from './curvature/joined-parameters.ts'
export { LBfgs, type LBfgsOptions, type LBfgsResult, lBfgs } from './curvature/l-bfgs.ts'
export { type LanczosOptions, lanczos, type Spectrum, type SymmetricProduct } from './curvature/lanczos.ts'
export {
  type BatchCurvature,
  criticalBatchSize,
  LanczosLearner,
  type LanczosLearnerOptions,
  type SpectralRates,
  spectralRates,
} from './curvature/lanczos-learner.ts'
export { LazyNewton, type LazyNewtonOptions, type LazyNewtonResult, lazyNewton } from './curvature/lazy-newton.ts'
export {
  PolynomialPreconditioner,
  type PolynomialPreconditionerOptions,
  polynomialPreconditioner,
} from './curvature/polynomial-preconditioner.ts'
export {
  type OutputGradient,
  type TargetModel,
  TargetSurrogate,
  type TargetSurrogateOptions,
  type TargetSurrogateResult,
  targetSurrogate,
} from './curvature/target-surrogate.ts'
export { type Description, describe, explain } from './explain.ts'
export { type CountedSlots, countedSlots } from './language/counted-slots.ts'
export {
  type CommonContext,
  type DecayStyle,
  defineOptimizer,
  defineTransform,
  type Evaluation,
  type Family,
  families,
  groups,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerFactory,
  type OptimizerSettings,
  type Paper,
  type ParameterGroup,
  type ParameterMatch,
  type RandomArrays,
  type RandomSettings,
  type RuleContext,
  type RuleResult,
  type TransformContext,
  type TransformDefinition,
  type TransformFactory,
  type TransformSettings,
  type Want,
} from './language/definition.ts'
export {
  cholesky,
  type Eigendecomposition,
  eigen,
  householderQr,
  matrixPower,
  orthonormalize,
  type QrFactors,
  qr,
  type SingularValues,
  solveLower,
  solveUpper,
  svd,
  symmetricProduct,
} from './language/factorizations.ts'
export {
  decayRate,
  fraction,
  type Hyperparameter,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  real,
  type SearchRange,
  seed,
  smallDivisor,
  stepCount,
  uniform,
} from './language/hyperparameters.ts'
export { type Input, inputArray, inputNumber, lossInput, shapedInput } from './language/inputs.ts'
export { layerStatistics } from './language/layer-statistics.ts'
export { type LayerwiseDecayArguments, layerwiseDecay } from './language/layerwise-decay.ts'
export type { Layout, LayoutChoice } from './language/layout.ts'
export { type RandomizedSvdArguments, randomizedSvd } from './language/randomized-svd.ts'
export { type RelativeRate, relativeRate } from './language/relative-rate.ts'
export {
  type LayerPlace,
  scaleByWidth,
  type WidthFactors,
  type WidthScalingArguments,
  widthFactors,
} from './language/scale-by-width.ts'
export { gather, largestPlaces, resized, scatter } from './language/selection.ts'
export {
  columns,
  copyOfParameter,
  type ParameterShape,
  perInput,
  perOutput,
  rows,
  type Slot,
  type SlotExtent,
  type SlotFacts,
  type SlotOptions,
  type SlotStart,
  scalar,
  shaped,
  sharedScalar,
  zeros,
} from './language/slots.ts'
export { switchAfter } from './language/switch-after.ts'
export { type Axis, biasCorrection, ema, type Operand, Value, where } from './language/value.ts'
export * from './optimizers/index.ts'
export { minimizeTogether, type Point } from './parallel/minimize-together.ts'
export { OptEx, type OptExOptions, type OptExRequest, type OptExResult, optEx } from './parallel/opt-ex.ts'
export { emaOfSquare } from './parts/ema-of-square.ts'
export { asMatrix, newtonSchulz, type QuinticCoefficients } from './parts/newton-schulz.ts'
export { polarExpress } from './parts/polar-express.ts'
export type { Shapes } from './program/model.ts'
export type { ArraysByName } from './run/attached-arrays.ts'
export type { Rebased } from './run/checkpointing.ts'
export type { CompiledOptimizer } from './run/compiled-optimizer.ts'
export { type FusedBackward, fusedBackward } from './run/fused-backward.ts'
export type { RunningOptimizer } from './run/running-optimizer.ts'
export type {
  Evaluate,
  EvaluationRequest,
  EvaluationResult,
  NonFinitePolicy,
  StepOptions,
  StepResult,
} from './run/step.ts'
export type { TensorTelemetry } from './run/telemetry.ts'
export * from './schedules/index.ts'
export type { Loaded, LoadOptions } from './state/checkpoint.ts'
export { type QuantizedSettings, quantized } from './storage/quantized.ts'
export * from './transforms/index.ts'
