import { performance } from 'node:perf_hooks'
import { adamW, adan, compile, describe, lamb, lion, muon, type Optimizer, quantized } from 'fallline'
import { webgpu } from 'fallline/webgpu'
import { startGpu } from '../gpu.ts'
import { type Contender, measure } from '../measure.ts'
import { type Summary, speedRatio } from '../statistics.ts'

/** A step on a graphics processor, beside a copy between two of its buffers. */
export interface WebgpuResult {
  optimizer: string
  parameters: number
  bytesPerParameter?: number
  /** Seconds of a step, when many are submitted one after the other. */
  seconds?: Summary
  /** Bytes a second by the Plan as a share of those that the copy reads and writes. */
  share?: Summary
  dispatches?: number
  submits?: number
  error?: string
}

export interface WebgpuReport {
  adapter: string
  results: WebgpuResult[]
  /** Why there is nothing to measure. */
  missing?: string
}

const rules: Readonly<Record<string, () => Optimizer>> = {
  adamW: () => adamW(),
  adan: () => adan(),
  lion: () => lion(),
  lamb: () => lamb(),
  'adamW in 8 bits': () => quantized(adamW(), { bits: 8 }),
  muon: () => muon(),
}

/** Bytes of the buffer that is copied. */
const copied = 2 ** 26

/** Steps at most that are submitted before the device is asked whether it has done them. */
const stepsAtOnce = 8

/** Counts what is asked of all devices from now on. */
function countCalls() {
  const counts = { dispatches: 0, submits: 0 }
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...groups) {
    counts.dispatches++
    return dispatchWorkgroups.apply(this, groups)
  }
  const { submit } = GPUQueue.prototype
  GPUQueue.prototype.submit = function (commands) {
    counts.submits++
    return submit.call(this, commands)
  }
  return counts
}

/** Does something so often that the device has something to do, and tells the mean seconds of each. */
function onDevice(name: string, device: GPUDevice, action: () => void): Contender {
  return {
    name,
    async run(steps) {
      const seconds: number[] = []
      for (let done = 0; done < steps; done += stepsAtOnce) {
        const count = Math.min(stepsAtOnce, steps - done)
        const start = performance.now()
        for (let step = 0; step < count; step++) action()
        await device.queue.onSubmittedWorkDone()
        seconds.push(...new Array<number>(count).fill((performance.now() - start) / 1000 / count))
      }
      return seconds
    },
  }
}

/** Measures steps on WebGPU at some sides of a square matrix. */
export async function measureWebgpu(progress: (text: string) => void, side?: number): Promise<WebgpuReport> {
  const gpu = await startGpu()
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    return { adapter: 'none', results: [], missing: 'no adapter: install chromium and libvulkan1, or a driver' }
  const { info, limits } = adapter
  const { maxBufferSize, maxStorageBufferBindingSize } = limits
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } })
  const counts = countCalls()
  const copy = copier(device)
  // What computes in software takes a second for what the others do in a millisecond.
  const sides = side ? [side] : info.isFallbackAdapter ? [1024] : [1024, 4096, 16384]
  const results: WebgpuResult[] = []
  for (const length of sides) {
    for (const [name, rule] of Object.entries(rules)) {
      const parameters = length * length
      progress(`${name} on WebGPU, ${parameters} parameters`)
      try {
        results.push({ optimizer: name, parameters, ...(await measureRule(device, rule(), length, counts, copy)) })
      } catch (error) {
        results.push({ optimizer: name, parameters, error: (error as Error).message })
      }
    }
  }
  device.destroy()
  return { adapter: `${info.vendor} ${info.architecture} ${info.description}`.trim(), results }
}

function copier(device: GPUDevice): Contender {
  const buffer = () => device.createBuffer({ size: copied, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST })
  const [from, to] = [buffer(), buffer()]
  return onDevice('copy', device, () => {
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(from, 0, to, 0, copied)
    device.queue.submit([encoder.finish()])
  })
}

async function measureRule(
  device: GPUDevice,
  rule: Optimizer,
  side: number,
  counts: { dispatches: number; submits: number },
  copy: Contender,
): Promise<Omit<WebgpuResult, 'optimizer' | 'parameters'>> {
  const optimizer = await compile(rule, { weight: [side, side] }, { backend: webgpu({ device }), nonFinite: 'allow' })
  try {
    const values = Float32Array.from({ length: side * side }, (_, index) => Math.sin(index))
    optimizer.writeParameters({ weight: values })
    optimizer.step({ gradients: { weight: values } })
    const before = { ...counts }
    optimizer.step()
    const [dispatches, submits] = [counts.dispatches - before.dispatches, counts.submits - before.submits]
    const own = onDevice('step', device, () => void optimizer.step())
    const { measurements, failures } = await measure([own, copy], { seconds: 2, blockSeconds: 0.1 })
    for (const message of failures.values()) throw new Error(message)
    const { bytesPerParameter } = describe(rule, [side, side])
    const [step, copying] = [measurements.get('step')!, measurements.get('copy')!]
    // As often as the bytes of a copy, which are read and written, go into those of a step.
    const scale = (bytesPerParameter * side * side) / (2 * copied)
    const share = speedRatio(
      step.rounds.map((seconds) => seconds / scale),
      copying.rounds,
    )
    return { bytesPerParameter, seconds: step.step, share, dispatches, submits }
  } finally {
    optimizer.dispose()
  }
}
