/** A Layers model on handwritten digits in Node: `npm run build && npx tsx packages/tfjs/examples/digits.ts`. */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { adan, clipByGlobalNorm, telemetryCallback, warmupCosine } from '@fallline/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'

/** 1,797 digits of 8 by 8 pixels: 64 numbers from 0 to 16 and the digit in each line. */
export async function readDigits(): Promise<{ x: tf.Tensor2D; y: tf.Tensor2D }> {
  const file = new URL('../../race/data/digits.csv.gz', import.meta.url)
  const rows = gunzipSync(await readFile(file))
    .toString()
    .trim()
    .split('\n')
  const numbers = rows.map((row) => row.split(',').map(Number)).filter((row) => row.every(Number.isFinite))
  return tf.tidy(() => {
    const x = tf.tensor2d(numbers.map((row) => row.slice(0, 64).map((value) => value / 16)))
    const labels = tf.tensor1d(
      numbers.map((row) => row[64]!),
      'int32',
    )
    return { x, y: tf.cast(tf.oneHot(labels, 10), 'float32') as tf.Tensor2D }
  })
}

/** Trains and gives the loss of every epoch and the accuracy on the last fifth of the digits. */
export async function train(
  epochs: number,
): Promise<{ losses: number[]; accuracy: number; execution: string | undefined }> {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  await tf.setBackend('wasm')
  const { x, y } = await readDigits()
  const dense = (units: number, seed: number, extra: object) =>
    layers.layers.dense({ units, kernelInitializer: layers.initializers.glorotUniform({ seed }), ...extra })
  const model = layers.sequential({
    layers: [dense(64, 1, { inputShape: [64], activation: 'relu' }), dense(10, 2, { activation: 'softmax' })],
  })
  const steps = epochs * Math.ceil((x.shape[0] * 0.8) / 64)
  const learningRate = warmupCosine({ peak: 0.01, warmup: Math.ceil(steps / 20), steps })
  const adapted = adan({ learningRate, weightDecay: 0.02 }, { telemetry: true })
  const optimizer = clipByGlobalNorm(adapted, { maximumNorm: 1 })
  model.compile({ optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
  const history = await model.fit(x, y, {
    epochs,
    batchSize: 64,
    validationSplit: 0.2,
    verbose: 0,
    callbacks: telemetryCallback(optimizer),
  })
  const { execution } = optimizer
  optimizer.dispose()
  const accuracies = history.history.val_acc as number[]
  return { losses: history.history.loss as number[], accuracy: accuracies.at(-1)!, execution }
}

if (process.argv[1]?.endsWith('digits.ts')) {
  const { losses, accuracy, execution } = await train(20)
  losses.forEach((loss, epoch) => {
    console.log(`epoch ${epoch + 1}: loss ${loss.toFixed(4)}`)
  })
  console.log(`accuracy on held-out digits ${(100 * accuracy).toFixed(1)} %, updates by ${execution}`)
}
