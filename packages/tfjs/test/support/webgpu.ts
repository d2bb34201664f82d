/** TensorFlow.js's webgpu backend in Node, on the adapter of the npm package webgpu. */

import * as tf from '@tensorflow/tfjs-core'
import { hasWebgpu, showGpu } from '../../../core/test/support/webgpu.ts'

/** Makes the backend the current one; it looks for `navigator.gpu` when it is loaded. */
export async function startWebgpu(): Promise<void> {
  await showGpu()
  await import('@tensorflow/tfjs-backend-webgpu')
  await tf.setBackend('webgpu')
}

/** The device of the backend. */
export const deviceOfBackend = (): GPUDevice => (tf.backend() as unknown as { readonly device: GPUDevice }).device

export { hasWebgpu }
