import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { float, medianPruner, openStudy, space } from '@fallline/search'
import { adamW } from '@fallline/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { readDigits } from '../packages/tfjs/examples/digits.ts'

/**
 * The learning rate of a TensorFlow.js model: a network on handwritten digits, whose loss on the last fifth of them is reported after
 * every epoch. The median rule stops those that are worse than half of the others were at that epoch.
 *
 * npx tsx --conditions=@fallline/source examples/learning-rate.ts
 */

const network = (seed: number) => {
  const dense = (units: number, place: number, extra: object) =>
    layers.layers.dense({
      units,
      kernelInitializer: layers.initializers.glorotUniform({ seed: seed + place }),
      ...extra,
    })
  return layers.sequential({
    layers: [dense(32, 1, { inputShape: [64], activation: 'relu' }), dense(10, 2, { activation: 'softmax' })],
  })
}

/** Tries so many learning rates, each for at most so many epochs. */
export async function searchLearningRate(trials: number, epochs: number) {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  await tf.setBackend('wasm')
  const { x, y } = await readDigits()
  const study = await openStudy({
    space: space({ learningRate: float(1e-5, 1, { scale: 'log' }) }),
    objectives: { 'validation loss': 'minimize' },
    resource: { name: 'epoch', minimum: 1, maximum: epochs },
    pruner: medianPruner(),
    seed: 1,
  })
  await study.optimize(
    async (trial) => {
      const model = network(trial.seed)
      const optimizer = adamW({ learningRate: trial.parameters.learningRate })
      model.compile({ optimizer, loss: 'categoricalCrossentropy' })
      const onEpochEnd = async (epoch: number, logs?: layers.Logs) => {
        if ((await trial.report(epoch + 1, logs!.val_loss!)) === 'stop') model.stopTraining = true
      }
      try {
        const history = await model.fit(x, y, {
          epochs,
          batchSize: 64,
          validationSplit: 0.2,
          // The library would shuffle by numbers that have no seed.
          shuffle: false,
          verbose: 0,
          callbacks: { onEpochEnd },
        })
        const losses = history.history.val_loss as number[]
        return losses.length < epochs ? 'stopped' : losses.at(-1)!
      } finally {
        model.dispose()
        optimizer.dispose()
      }
    },
    { trials },
  )
  tf.dispose([x, y])
  return study
}

if (process.argv[1]?.endsWith('learning-rate.ts')) {
  const epochs = 10
  const study = await searchLearningRate(30, epochs)
  const records = await study.trials()
  const best = (await study.best())!
  const used = records.reduce((sum, { reports }) => sum + reports.length, 0)
  console.log(
    `learning rate ${best.trial.parameters.learningRate}: loss ${best.value.toFixed(3)}, the best of ${best.of} that were trained to the end`,
  )
  console.log(`${used} of ${records.length * epochs} epochs were trained`)
}
