import { layerStatistics } from 'fallline'
import { defineTask, type Task } from '../task.ts'
import { type DenseLayer, DenseNetwork, softmaxCrossEntropy } from './dense.ts'
import { classes, gather, loadDigits, pixels } from './digits.ts'
import { epochBatches } from './random.ts'

const batchSize = 64

/** What tells one classifier of the digits from another. */
export type DigitsClassifier = Pick<Task, 'name' | 'title' | 'description' | 'targets' | 'budget'> & {
  layers: readonly DenseLayer[]
}

/** A classifier of the digits from dense layers, trained on the mean cross-entropy of batches of 64 images. */
export function createDigitsClassifier({ layers, ...rest }: DigitsClassifier): Task {
  const digits = loadDigits()
  const network = new DenseNetwork(layers, Math.max(batchSize, digits.validation.count, digits.test.count))
  const batches = epochBatches(digits.train.count, batchSize)
  const images = new Float32Array(batchSize * pixels)
  const labels = new Uint8Array(batchSize)
  return defineTask({
    ...rest,
    parameters: network.parameters,
    statistics: Object.keys(layerStatistics),
    layout: 'outputLast',
    initialize: (parameters, seed) => network.initialize(parameters, seed),
    gradient(parameters, gradients, { seed, step }, statistics) {
      gather(digits.train, batches(seed, step), images, labels)
      const logits = network.forward(parameters, images, batchSize)
      const loss = softmaxCrossEntropy(logits, labels, batchSize, classes, network.outputSlope(batchSize))
      network.backward(parameters, gradients, images, batchSize, statistics)
      return loss
    },
    loss(parameters, { seed, step }) {
      gather(digits.train, batches(seed, step), images, labels)
      return softmaxCrossEntropy(network.forward(parameters, images, batchSize), labels, batchSize, classes)
    },
    metric(parameters, split) {
      const { images, labels, count } = digits[split]
      return softmaxCrossEntropy(network.forward(parameters, images, count), labels, count, classes)
    },
    metricName: 'cross-entropy',
    direction: 'minimize',
  })
}
