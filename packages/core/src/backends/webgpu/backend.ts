import { checkNames } from '../../language/definition.ts'
import { isParameterSlot } from '../../program/program.ts'
import { onDevice } from '../../run/device.ts'
import type { Backend, BackendInstance, BackendTensor } from '../backend.ts'
import { type Blueprint, BlueprintMaker } from './builder.ts'
import { type Gpu, gpuOf } from './gpu.ts'
import { mebibytes } from './heaps.ts'
import { WebgpuInstance } from './instance.ts'
import { checkFinite, parameterCopy, totalsKernel } from './library.ts'

export interface WebgpuOptions {
  /**
   * The device to run on. Without one, each optimizer asks `navigator.gpu` for a device of its own, with the largest buffers that the
   * adapter has, and ends it when it is disposed of. With the feature `subgroups` (which that device has where
   * subgroups have 16 lanes or more) sums take fewer barriers; their bits are the same.
   */
  readonly device?: GPUDevice
  /**
   * True where parameters and gradients are kept in buffers of yours on that device, which `attachBuffers` names. The optimizer
   * then has no memory for them. A kernel that works on them runs once for each parameter, because each has another buffer; so many
   * small parameters are better kept by the optimizer (see `buffersOf`). Default false.
   */
  readonly attached?: boolean
  /**
   * Who finds eigenvalues and eigenvectors that a rule refreshes now and then, as Shampoo and S++ do. `device` (default): the device, at
   * once, a workgroup for each matrix, which is slow for large ones. `host`: the thread that calls, in float64, while the device goes on.
   * A refresh then takes those of the matrices that the refresh before it has left (the first its own, which the device decomposes); so the
   * steps are other ones. Matrices that wait are state, with as many numbers again as those that are decomposed. No step waits for the host: where it is
   * not ready at the next refresh, the device decomposes the same matrices, and only roundings differ. `await settled()`, which waits
   * for the host, before each refresh gives the same bits every time. What a rule decomposes at every step, and its QR factors, stay on
   * the device.
   */
  readonly eigendecompositions?: 'device' | 'host'
}

const precision = { arrays: 'float32', scalars: 'float32', sums: 'float32' } as const

/**
 * The WebGPU backend: kernels in WGSL, generated from the same plans as those of `wasm()`. Parameters, gradients and state
 * lie on the device; a step is submitted at once and nobody waits for it. Numbers that follow from sums are computed there too, in
 * float32. It cannot show its memory: read and write with `readParameters`, `writeParameters`, `saveAsync` and the like.
 *
 * ```ts
 * import { adamW, compile } from 'fallline'
 * import { webgpu } from 'fallline/webgpu'
 *
 * const optimizer = await compile(adamW(), { weights: [256, 256] }, { backend: webgpu() })
 * ```
 *
 * @throws Error for `attached` without a device, or another word for `eigendecompositions`. From `compile` when there is no WebGPU or no adapter, or the device has too small
 * buffers.
 */
export function webgpu(options: WebgpuOptions = {}): Backend {
  checkNames('webgpu', options, ['device', 'attached', 'eigendecompositions'])
  const { attached = false, eigendecompositions = 'device' } = options
  if (!['device', 'host'].includes(eigendecompositions)) {
    throw new Error(`webgpu: eigendecompositions must be device or host, not ${String(eigendecompositions)}`)
  }
  if (attached && !options.device) {
    throw new Error('webgpu: attached needs { device } too, the one that your buffers were made on')
  }
  return {
    name: 'webgpu',
    delaysEigendecompositions: eigendecompositions === 'host',
    create: async (tensors, memory) => {
      const { device, release } = options.device ? { device: options.device, release: () => {} } : await ownDevice()
      try {
        return await create(gpuOf(device), tensors, memory?.title ?? 'a rule', attached, release)
      } catch (error) {
        release()
        throw error
      }
    },
  }
}

async function ownDevice(): Promise<{ device: GPUDevice; release: () => void }> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu
  if (!gpu) {
    throw new Error(
      'webgpu: there is no navigator.gpu here; in Node take a device from the npm package webgpu and give it to webgpu({ device }), ' +
        'in pages use a browser with WebGPU over https',
    )
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw new Error('webgpu: navigator.gpu has no adapter; use wasm()')
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('subgroups') && adapter.info.subgroupMinSize >= 16 ? ['subgroups'] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  })
  return { device, release: () => device.destroy() }
}

async function create(
  gpu: Gpu,
  tensors: readonly BackendTensor[],
  title: string,
  attached: boolean,
  release: () => void,
): Promise<BackendInstance> {
  const kept = attached && tensors.find(({ slots }) => slots.some(isParameterSlot))
  if (kept) {
    throw new Error(
      `webgpu: attached parameters are in float32: leave out 'parameters' of quantized for '${kept.name}', or attached`,
    )
  }
  const blueprint = blueprintFor(gpu, tensors, title, attached)
  const pipelines = await compileKernels(gpu, blueprint)
  const { device } = gpu
  device.pushErrorScope('out-of-memory')
  const instance = new WebgpuInstance(gpu, blueprint, pipelines, release)
  const failure = await device.popErrorScope()
  if (failure) {
    const bytes = 4 * blueprint.heaps.reduce((sum, size) => sum + size, 0)
    instance.dispose()
    throw new Error(`webgpu: could not allocate ${mebibytes(bytes)} on the device: ${failure.message}`)
  }
  return onDevice(instance, instance, precision, () => instance.dispose())
}

function blueprintFor(gpu: Gpu, tensors: readonly BackendTensor[], title: string, attached: boolean): Blueprint {
  gpu.refuseWhenLost('compile')
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits
  return new BlueprintMaker(tensors, title, attached).make(Math.min(maxBufferSize, maxStorageBufferBindingSize))
}

/**
 * @internal An instance at once, with parameters and gradients in buffers that are attached. Kernels are compiled when a step first
 * needs them, and what the device finds wrong is an error of a later call.
 * @throws Error when the device is lost or has too small buffers, or a rule needs what the backend lacks.
 */
export function createAttachedInstance(
  device: GPUDevice,
  tensors: readonly BackendTensor[],
  title: string,
): WebgpuInstance {
  const gpu = gpuOf(device)
  return new WebgpuInstance(gpu, blueprintFor(gpu, tensors, title, true), new Map(), () => {})
}

/** All kernels that steps may need, by their text. */
async function compileKernels(gpu: Gpu, blueprint: Blueprint): Promise<Map<string, GPUComputePipeline>> {
  const { tensors, totals, kernels } = blueprint
  const heaps = blueprint.heaps.length
  const judging = new Set(tensors.map(({ gradient }) => gradient.heap)).values()
  const checks = [...judging].map((heap) => checkFinite(heaps, heap))
  const copies = tensors.flatMap((memory) =>
    [...memory.arrays.values()].map(({ heap }) => parameterCopy(heaps, memory, heap)),
  )
  const sums = totals.size > 0 ? (['sum', 'maximum'] as const).map((kind) => totalsKernel(heaps, kind)) : []
  const wanted = new Map([...checks, ...copies, ...sums, ...kernels].map((kernel) => [kernel.key, kernel]))
  const made = [...wanted].map(async ([key, kernel]) => [key, await gpu.pipeline(kernel, heaps)] as const)
  return new Map(await Promise.all(made))
}
