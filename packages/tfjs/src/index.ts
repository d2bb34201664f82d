export { relativeRate } from 'fallline'
export {
  type AnyOptimizer,
  groups,
  registerOptimizers,
  type TensorFlowFactory,
  type TensorFlowGroup,
  type TensorFlowTransform,
  toTensorFlow,
} from './adapt.ts'
export type { Execution } from './backends/instance.ts'
export * from './factories.ts'
export { layoutOf } from './layout.ts'
export { type StepInputs, TensorFlowOptimizer, type TensorFlowOptions } from './optimizer.ts'
export { type TelemetryLog, telemetryCallback } from './telemetry.ts'
