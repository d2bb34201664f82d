import { layerStatistics } from 'fallline'
import { defineTask, type Task } from '../task.ts'
import { DenseNetwork, squaredError } from './dense.ts'
import { gather, loadDigits, pixels } from './digits.ts'
import { epochBatches } from './random.ts'

const batchSize = 64
const hiddenUnits = 64
const codeUnits = 8

/**
 * An autoencoder that squeezes the 64 pixels of a digit through 8 numbers: badly conditioned, and far from solved
 * within the budget.
 */
export function createDigitsAutoencoder(): Task {
  const digits = loadDigits()
  const network = new DenseNetwork(
    [
      { name: 'encoder/hidden', inputs: pixels, outputs: hiddenUnits, activation: 'tanh' },
      { name: 'encoder/code', inputs: hiddenUnits, outputs: codeUnits, activation: 'tanh' },
      { name: 'decoder/hidden', inputs: codeUnits, outputs: hiddenUnits, activation: 'tanh' },
      { name: 'decoder/image', inputs: hiddenUnits, outputs: pixels, activation: 'sigmoid' },
    ],
    Math.max(batchSize, digits.validation.count, digits.test.count),
  )
  const batches = epochBatches(digits.train.count, batchSize)
  const images = new Float32Array(batchSize * pixels)
  return defineTask({
    name: 'digits-autoencoder',
    title: 'Digits, autoencoder',
    description:
      'An autoencoder (64-64-8-64-64, tanh, sigmoid at the end, 9,416 parameters) on 8 x 8 handwritten digits; ' +
      'loss: squared error of an image summed over its pixels, mean over batches of 64.',
    parameters: network.parameters,
    statistics: Object.keys(layerStatistics),
    layout: 'outputLast',
    initialize: (parameters, seed) => network.initialize(parameters, seed),
    gradient(parameters, gradients, { seed, step }, statistics) {
      gather(digits.train, batches(seed, step), images)
      const outputs = network.forward(parameters, images, batchSize)
      const loss = squaredError(outputs, images, batchSize, network.outputSlope(batchSize))
      network.backward(parameters, gradients, images, batchSize, statistics)
      return loss
    },
    loss(parameters, { seed, step }) {
      gather(digits.train, batches(seed, step), images)
      return squaredError(network.forward(parameters, images, batchSize), images, batchSize)
    },
    metric(parameters, split) {
      const { images, count } = digits[split]
      return squaredError(network.forward(parameters, images, count), images, count)
    },
    metricName: 'reconstruction loss',
    direction: 'minimize',
    // Percentiles 50 to 5, rounded, of the best validation metric of 48 baseline runs; see `builtinTasks`.
    targets: [2.94, 2.31, 2.02, 1.79, 1.41, 1.26],
    budget: { steps: 800, evaluateEvery: 20 },
  })
}
