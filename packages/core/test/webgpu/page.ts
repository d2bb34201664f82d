/** In a page of a browser: some optimizers on its WebGPU beside the reference. */

import { findOptimizer } from 'fallline'
import { webgpu } from 'fallline/webgpu'
import { besideReference, differencesOf } from '../support/beside-reference.ts'
import { smallModel } from '../support/models.ts'
import { comparable, stepTolerance } from '../support/tolerances.ts'

declare global {
  /** What differs in some steps of each optimizer, with a model of several shapes or a vector alone, or why it could not step. */
  var checkOnWebgpu: (names: readonly string[], steps: number, ofVector: boolean) => Promise<Record<string, string[]>>
}

globalThis.checkOnWebgpu = async (names, steps, ofVector) => {
  const shapes = ofVector ? { bias: smallModel.bias! } : smallModel
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice()
  const found: Record<string, string[]> = {}
  for (const name of names) {
    const factory = findOptimizer(name)
    try {
      const pair = await besideReference(comparable(factory, {}, 'none'), shapes, webgpu({ device }))
      found[name] = await differencesOf(pair, stepTolerance(factory), steps)
    } catch (error) {
      found[name] = [String(error)]
    }
  }
  device.destroy()
  return found
}
