/** A device, with what every optimizer on it shares: pipelines by their text. */

import { bindings, type Kernel, withSubgroups } from './kernel.ts'

/** A stretch of a buffer. */
export interface DeviceBytes {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly bytes: number
}

/** Flags of buffer usage, which the host may lack as globals. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, storage: 128 } as const
const compute = 4
const readFlag = 1

/** Bytes to which the beginning of a list of items is rounded up, as devices demand. */
export const itemAlignment = 256

/** What kernels of a device are compiled with. */
interface Layout {
  readonly group: GPUBindGroupLayout
  readonly pipeline: GPUPipelineLayout
}

export class Gpu {
  readonly device: GPUDevice
  private readonly layouts = new Map<string, Layout>()
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>()
  private readonly pipelinesAtOnce = new Map<string, GPUComputePipeline>()
  /** How many lanes a subgroup has at least; 0 where kernels may not use them. */
  private readonly subgroupLanes: number
  /** Why the device is lost, when it is. */
  lost: string | undefined

  constructor(device: GPUDevice) {
    this.device = device
    this.subgroupLanes = device.features.has('subgroups') ? device.adapterInfo.subgroupMinSize : 0
    device.lost.then(({ reason, message }) => {
      this.lost = message || reason || 'no reason is known'
    })
  }

  /** How kernels see buffers: the same for all of an optimizer, but for the check that writes to the words. */
  layout(heaps: number, judges: boolean): Layout {
    const key = `${heaps} ${judges}`
    const known = this.layouts.get(key)
    if (known) return known
    const entry = (binding: number, type: GPUBufferBindingType, hasDynamicOffset = false) => ({
      binding,
      visibility: compute,
      buffer: { type, hasDynamicOffset },
    })
    const group = this.device.createBindGroupLayout({
      entries: [
        entry(bindings.items, 'read-only-storage', true),
        entry(bindings.words, judges ? 'storage' : 'read-only-storage'),
        entry(bindings.numbers, 'storage'),
        entry(bindings.bytes, 'storage'),
        ...Array.from({ length: heaps }, (_, heap) => entry(bindings.heaps + heap, 'storage')),
      ],
    })
    const layout = { group, pipeline: this.device.createPipelineLayout({ bindGroupLayouts: [group] }) }
    this.layouts.set(key, layout)
    return layout
  }

  /** @throws Error that names the kernel when it does not compile. */
  pipeline(kernel: Kernel, heaps: number): Promise<GPUComputePipeline> {
    const key = `${heaps} ${kernel.key}`
    const known = this.pipelines.get(key)
    if (known) return known
    const made = this.compile(kernel, this.layout(heaps, kernel.judges).pipeline)
    this.pipelines.set(key, made)
    made.catch(() => this.pipelines.delete(key))
    return made
  }

  /** The same at once: what is wrong with the kernel the device says when it is first used. */
  pipelineAtOnce(kernel: Kernel, heaps: number): GPUComputePipeline {
    const { label, key, judges } = kernel
    const known = this.pipelinesAtOnce.get(`${heaps} ${key}`)
    if (known) return known
    const module = this.module(kernel)
    const { pipeline: layout } = this.layout(heaps, judges)
    const made = this.device.createComputePipeline({ label, layout, compute: { module, entryPoint: 'main' } })
    this.pipelinesAtOnce.set(`${heaps} ${key}`, made)
    return made
  }

  private module({ label, code }: Kernel): GPUShaderModule {
    return this.device.createShaderModule({ label, code: withSubgroups(code, this.subgroupLanes) })
  }

  private async compile(kernel: Kernel, layout: GPUPipelineLayout): Promise<GPUComputePipeline> {
    const { device } = this
    const { label } = kernel
    device.pushErrorScope('validation')
    const module = this.module(kernel)
    const scope = device.popErrorScope()
    try {
      const pipeline = await device.createComputePipelineAsync({
        label,
        layout,
        compute: { module, entryPoint: 'main' },
      })
      await scope
      return pipeline
    } catch (cause) {
      this.refuseWhenLost('compile')
      const { messages } = await module.getCompilationInfo()
      const text = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join('; ')
      throw new Error(`webgpu: the kernel '${label}' does not compile: ${text || String(cause)}`, { cause })
    }
  }

  /** @throws Error when the device is lost. */
  refuseWhenLost(caller: string): void {
    if (this.lost !== undefined) throw this.lostError(caller)
  }

  /** What to say of a device that is lost. */
  lostError(caller: string): Error {
    return new Error(
      `${caller}: the device was lost (${this.lost ?? 'no reason is known'}); compile on a new device and load the last checkpoint`,
    )
  }
}

const known = new WeakMap<GPUDevice, Gpu>()

/** The same for every optimizer of a device. */
export function gpuOf(device: GPUDevice): Gpu {
  const gpu = known.get(device) ?? new Gpu(device)
  known.set(device, gpu)
  return gpu
}

/** From one place of a device to another, as many bytes as the first has. */
export interface DeviceCopy {
  readonly from: DeviceBytes
  readonly to: Pick<DeviceBytes, 'buffer' | 'offset'>
}

/** Submits copies. */
export function copyOnDevice(device: GPUDevice, copies: readonly DeviceCopy[]): void {
  const filled = copies.filter(({ from }) => from.bytes > 0)
  if (filled.length === 0) return
  const encoder = device.createCommandEncoder()
  for (const { from, to } of filled) {
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, from.bytes)
  }
  device.queue.submit([encoder.finish()])
}

/** Copies out what lies in buffers. */
export async function readBuffers(gpu: Gpu, ranges: readonly DeviceBytes[]): Promise<ArrayBuffer[]> {
  const { device } = gpu
  const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total === 0) return ranges.map(() => new ArrayBuffer(0))
  const staging = device.createBuffer({ label: 'readback', size: total, usage: usage.mapRead | usage.copyTarget })
  try {
    let end = 0
    const copies = ranges.map((from): DeviceCopy => {
      end += from.bytes
      return { from, to: { buffer: staging, offset: end - from.bytes } }
    })
    copyOnDevice(device, copies)
    await staging.mapAsync(readFlag)
    const mapped = staging.getMappedRange()
    return copies.map(({ from, to }) => mapped.slice(to.offset, to.offset + from.bytes))
  } catch (cause) {
    if (gpu.lost !== undefined) throw gpu.lostError('webgpu')
    throw cause
  } finally {
    staging.destroy()
  }
}
