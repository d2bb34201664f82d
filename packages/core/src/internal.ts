/**
 * What the packages of this repository that carry Fallline into other libraries use beside the public interface. It
 * follows the needs of those packages and may change with every release.
 */
export {
  type Backend,
  type BackendInstance,
  type BackendTensor,
  backendTensors,
  type DeferredExecutor,
  type FloatArray,
  type HostMemory,
  hostReadback,
  onHost,
  type Place,
  type Precision,
  type PromptExecutor,
  programsOfTensor,
  type Readback,
  type Work,
  type WritablePlace,
} from './backends/backend.ts'
export { generateFunctions } from './backends/wasm/everything.ts'
export { createForeignInstance, type ForeignMemory } from './backends/wasm/foreign.ts'
export { multipliesAndAdds } from './backends/wasm/fused.ts'
export { rowsTogether } from './backends/wasm/gathering-loop.ts'
export type { ForeignInstance } from './backends/wasm/instance.ts'
export { textOf } from './backends/wasm/listing.ts'
export { MemoryLayout } from './backends/wasm/memory.ts'
export { wasmPrecision } from './backends/wasm/precision.ts'
export { createAttachedInstance } from './backends/webgpu/backend.ts'
export { copyOnDevice, type DeviceCopy } from './backends/webgpu/gpu.ts'
export type { WebgpuInstance } from './backends/webgpu/instance.ts'
export { joined, spread } from './curvature/joined-parameters.ts'
export * from './graph/node.ts'
export {
  hashName,
  philox,
  philoxIncrements,
  philoxMultipliers,
  philoxRounds,
  type RandomStream,
  randomNumber,
} from './graph/philox.ts'
export { applyScalar } from './graph/scalar.ts'
export { type CurvatureInput, curvatureInput } from './language/curvature-input.ts'
export {
  type BaseOptimizer,
  checkHyperValues,
  checkNames,
  checkOptimizer,
  type GroupedOptimizer,
  inputsOf,
  isOptimizer,
  type OptionSpecification,
  type WrappedOptimizer,
} from './language/definition.ts'
export { describeOptimizer, type Factories, type Json, reviveOptimizer } from './language/describe.ts'
export { checkLayout, type LayoutChoice, parameterShape } from './language/layout.ts'
export { isRelativeRate, relativeTo } from './language/relative-rate.ts'
export { hyperBeforeTraining, withHyper } from './language/settings.ts'
export { signatureOf } from './language/signature.ts'
export { didYouMean } from './language/suggest.ts'
export { elementsIn, isJoint, mainRule, type Visitor, visit } from './language/walk.ts'
export { canonicalize } from './plan/canonical.ts'
export { dimensionsOf, elementsOf } from './plan/plan.ts'
export { planTogether } from './plan/planner.ts'
export { type HostEnvironment, HostEvaluator, hostProgram } from './program/host.ts'
export { type Algebra, Interpreter, interpret, Totals } from './program/interpret.ts'
export { checkParameters, type TracedModel } from './program/model.ts'
export {
  findTotal,
  nodesOf,
  type Output,
  type Program,
  programsOf,
  type SlotStorage,
  startOf,
  type Target,
  type TelemetryName,
  type VariantTree,
} from './program/program.ts'
export { isLoss, pointsOf, programsOfStep } from './program/trace.ts'
export { traceModel } from './program/trace-model.ts'
export { references } from './routines/references.ts'
export { type RoutineName, routineOf } from './routines/table.ts'
export {
  checkpointOf,
  checkpointPlaces,
  copiesOf,
  keptAs,
  movedAlong,
  placesInBoth,
  restart,
  restore,
} from './run/checkpointing.ts'
export { CompiledOptimizer } from './run/compiled-optimizer.ts'
export { Conductor } from './run/conductor.ts'
export { Course } from './run/course.ts'
export { onDevice } from './run/device.ts'
export { EvaluatingCourse } from './run/evaluating-course.ts'
export { DeclaredInputs } from './run/inputs.ts'
export { encodeRun, PortableNames, takeRun } from './run/portable.ts'
export { readTelemetry } from './run/telemetry.ts'
export { evaluateSchedule, type HyperValue, isSchedule } from './schedules/schedule.ts'
export type { Checkpoint } from './state/checkpoint.ts'
export { codesOf, largestBfloat16, largestScale, midpoints, smallestScale, startBytes } from './storage/codecs.ts'
export { bytesOf } from './storage/provided.ts'
export { partsOf, type StagedStorage, sizeInBytes, storageOf } from './storage/storage.ts'
