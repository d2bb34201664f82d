import * as tf from '@tensorflow/tfjs-core'
import type { BackendTensor } from 'fallline/internal'
import type { VariableInstance } from './instance.ts'
import { cpuHome, KernelInstance, wasmHome } from './kernel.ts'
import { OperationInstance, type SlotStore } from './operations.ts'
import { webglFuser } from './webgl.ts'
import { webgpuKernels } from './webgpu.ts'

/**
 * The fastest way to run an optimizer on the current backend of TensorFlow.js.
 * @param title what its rule is called.
 */
export function createInstance(
  tensors: readonly BackendTensor[],
  slots: SlotStore,
  fused: boolean,
  title: string,
): VariableInstance {
  if (fused) {
    const kernel = createKernel(tensors, title)
    if (kernel) return kernel
    checkStorages(tensors, `the ${tf.getBackend()} backend has none`)
    const fuser = tf.getBackend() === 'webgl' ? webglFuser() : undefined
    if (fuser) return new OperationInstance(tensors, slots, 'webgl', fuser)
  }
  checkStorages(tensors, 'fused is false')
  return new OperationInstance(tensors, slots, 'operations')
}

/** @throws Error when state is not in float32, as it must be where tensors hold it. */
function checkStorages(tensors: readonly BackendTensor[], why: string): void {
  if (tensors.every(({ slots }) => slots.every(({ storage }) => storage === 'float32'))) return
  throw new Error(
    `TensorFlow.js keeps all state in float32 where no kernel of Fallline runs, and ${why}: leave out quantized(...), or use the ` +
      'backend wasm, cpu or webgpu',
  )
}

function createKernel(tensors: readonly BackendTensor[], title: string): VariableInstance | undefined {
  const name = tf.getBackend()
  if (name !== 'wasm' && name !== 'cpu' && name !== 'webgpu') return undefined
  try {
    if (name === 'webgpu') return webgpuKernels(tensors, title)
    const home = name === 'wasm' ? wasmHome() : cpuHome(tensors.map(({ size }) => size))
    return home && new KernelInstance(tensors, home)
  } catch (cause) {
    const { message } = cause as Error
    console.warn(`@fallline/tfjs: no fused kernel on the ${name} backend, operations do the work: ${message}`)
    return undefined
  }
}
