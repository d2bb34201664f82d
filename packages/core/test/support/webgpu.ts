/**
 * WebGPU devices in Node, from the npm package webgpu. Without a graphics processor it needs a Vulkan driver that computes in software:
 * Debian's Chromium brings SwiftShader along.
 */

import { existsSync } from 'node:fs'
import { type Backend, type CompiledOptimizer, compile, type Optimizer, reference, type Shapes } from 'fallline'
import { webgpu } from 'fallline/webgpu'
import type { Snapshot } from './compare.ts'
import { fillAll, randomNumbers } from './random.ts'

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'

const advice =
  'No WebGPU adapter: the tests on WebGPU are SKIPPED. A software adapter comes with `apt-get install chromium libvulkan1` ' +
  `(its Vulkan driver is ${softwareDriver}), a Vulkan driver of your own is found by itself or named in VK_ICD_FILENAMES.`

/** Kept: what is made from it ends with it. */
export const gpu = await findGpu()

async function findGpu(): Promise<GPU | undefined> {
  if (process.env.VK_ICD_FILENAMES === undefined && existsSync(softwareDriver)) {
    process.env.VK_ICD_FILENAMES = softwareDriver
  }
  try {
    const { create } = await import('webgpu')
    return create([])
  } catch (error) {
    console.warn(error)
    return undefined
  }
}

/** Whether there is an adapter; a loud line says so where there is none. */
export const hasWebgpu = !!(await gpu?.requestAdapter())
if (!hasWebgpu) console.warn(`\n${'!'.repeat(80)}\n${advice}\n${'!'.repeat(80)}\n`)

/** A device of its own: a lost one takes no other along. */
export async function newDevice(): Promise<GPUDevice> {
  // An adapter gives one device.
  return (await gpu!.requestAdapter())!.requestDevice()
}

let shared: Promise<GPUDevice> | undefined

/** The device that all tests of a file share, with the kernels that were compiled for it. */
export function sharedDevice(): Promise<GPUDevice> {
  shared ??= newDevice()
  return shared
}

/** The backend on the device that all tests of a file share. */
export async function newBackend(): Promise<Backend> {
  if (!gpu) throw new Error(advice)
  return webgpu({ device: await sharedDevice() })
}

/** As `snapshot`, from a device. */
export async function readSnapshot(optimizer: CompiledOptimizer): Promise<Snapshot> {
  const result: Record<string, Float64Array> = Object.create(null)
  const parameters = await optimizer.readParameters()
  for (const name of optimizer.names) {
    result[name] = new Float64Array(parameters[name]!)
    for (const [slot, value] of Object.entries(await optimizer.readState(name))) {
      result[`${name} state ${slot}`] = typeof value === 'number' ? Float64Array.of(value) : new Float64Array(value)
    }
  }
  return result
}

/** The same optimizer on the reference and on WebGPU, with the same parameters, which float32 holds. */
export async function besideReference(optimizer: Optimizer, shapes: Shapes) {
  const exact = await compile(optimizer, shapes, { backend: reference() })
  const fast = await compile(optimizer, shapes, { backend: await newBackend() })
  fillAll(exact.parameters, randomNumbers(1), 11)
  for (const values of Object.values(exact.parameters)) values.set(values.map(Math.fround))
  fast.writeParameters(exact.parameters)
  return { exact, fast }
}

/** Random gradients that float32 holds, also written where the reference has its own. */
export function fillGradients(exact: CompiledOptimizer, random: () => number): Record<string, ArrayLike<number>> {
  fillAll(exact.gradients, random, 13)
  return Object.fromEntries(Object.entries(exact.gradients).map(([name, values]) => [name, values.map(Math.fround)]))
}
