import { type RunningOptimizer, record } from '../../run/running-optimizer.ts'
import { type ParameterBuffers, WebgpuInstance } from './instance.ts'

/**
 * Where the parameters and gradients of an optimizer lie on its device, by name: parts of buffers for bind groups of your own. Kernels that
 * read parameters there and write gradients need no copies; `step()` without gradients takes what lies there. All parameters lie
 * in one buffer, all gradients in another; both can be storage, and be copied from and to.
 *
 * Nobody waits for anybody: what you submit before `step` comes before it. Do not write to parameters between two steps whose gradients are not
 * known to be finite, unless with `nonFinite: 'allow'`: a step that was left out is an error of a later call.
 *
 * @throws Error for an optimizer of another backend, or one that was disposed of.
 */
export function buffersOf<Name extends string>(
  optimizer: RunningOptimizer<Name>,
): Readonly<Record<Name, ParameterBuffers>> {
  optimizer.refuseAfterDispose('buffersOf')
  const { executor } = optimizer.instance
  if (!(executor instanceof WebgpuInstance)) {
    throw new Error('buffersOf: this optimizer was not compiled with webgpu(); use its parameters and gradients')
  }
  return Object.freeze(record(optimizer.names, (index) => executor.buffersOf(index)))
}
