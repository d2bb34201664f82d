import { type Optimizer, type OptimizerFactory, optimizerOf } from '../../language/definition.ts'
import { traceModel } from '../../program/trace-model.ts'
import { backendTensors } from '../backend.ts'
import { BlueprintMaker } from './builder.ts'

/** As many bytes as 32 bits count: one heap for all arrays. */
const anySize = 2 ** 32

/**
 * The kernels of an optimizer for a parameter of some shape (default 1024 x 1024) as WGSL, as `webgpu()` compiles them.
 * @throws Error when the optimizer does not take such a parameter, or needs what the backend lacks.
 */
export function wgslOf(subject: Optimizer | OptimizerFactory, shape: readonly number[] = [1024, 1024]): string {
  const optimizer = optimizerOf(subject)
  const model = traceModel(optimizer, { parameter: shape }, false)
  const maker = new BlueprintMaker(backendTensors(model), model.rule)
  return maker
    .make(anySize)
    .kernels.map(({ code }) => code)
    .join('\n')
}
