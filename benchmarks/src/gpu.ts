/** WebGPU in Node. */

import { existsSync } from 'node:fs'

/** Debian's Chromium brings a Vulkan driver along that computes in software. */
const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'

/** What pages have as `navigator.gpu`, with its globals; `undefined` where no adapter is found. */
export async function startGpu(): Promise<GPU | undefined> {
  if (process.env.VK_ICD_FILENAMES === undefined && existsSync(softwareDriver)) {
    process.env.VK_ICD_FILENAMES = softwareDriver
  }
  const { create, globals } = await import('webgpu')
  Object.assign(globalThis, globals)
  const gpu = create([])
  return (await gpu.requestAdapter()) ? gpu : undefined
}
