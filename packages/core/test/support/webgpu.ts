/**
 * WebGPU devices in Node, from the npm package webgpu. Without a graphics processor it needs a Vulkan driver that computes in software:
 * Debian's Chromium brings SwiftShader along.
 */

import { existsSync } from 'node:fs'
import type { Backend } from 'fallline'
import { webgpu } from 'fallline/webgpu'

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'

const advice =
  'No WebGPU adapter: the tests on WebGPU are SKIPPED. A software adapter comes with `apt-get install chromium libvulkan1` ' +
  `(its Vulkan driver is ${softwareDriver}), a Vulkan driver of your own is found by itself or named in VK_ICD_FILENAMES.`

/** Kept: what is made from it ends with it. */
const gpu = await findGpu()

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

const adapter = await gpu?.requestAdapter()

/** Whether there is an adapter; a loud line says so where there is none. */
export const hasWebgpu = !!adapter

/** Whether its lanes can put numbers together in subgroups. */
export const hasSubgroups = adapter?.features.has('subgroups') === true
if (!hasWebgpu) console.warn(`\n${'!'.repeat(80)}\n${advice}\n${'!'.repeat(80)}\n`)

/** Shows libraries that look for `navigator.gpu` what a page would show them. */
export async function showGpu(): Promise<void> {
  const { globals } = await import('webgpu')
  Object.assign(globalThis, globals)
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'Node' }, configurable: true })
}

/** A device of its own: a lost one takes no other along. */
export async function newDevice(requiredFeatures: GPUFeatureName[] = []): Promise<GPUDevice> {
  // An adapter gives one device.
  return (await gpu!.requestAdapter())!.requestDevice({ requiredFeatures })
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
