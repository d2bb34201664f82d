import type { Task } from '../task.ts'
import { classes, pixels } from './digits.ts'
import { createDigitsClassifier } from './digits-classifier.ts'

/** A multi-layer perceptron with one hidden ReLU layer that classifies the digits. */
export function createDigitsMlp(): Task {
  return createDigitsClassifier({
    name: 'digits-mlp',
    title: 'Digits, multi-layer perceptron',
    description:
      'A ReLU network (64-64-10, 4,810 parameters) on 8 x 8 handwritten digits; loss: mean cross-entropy of batches of 64.',
    layers: [
      { name: 'hidden', inputs: pixels, outputs: 64, activation: 'relu' },
      { name: 'output', inputs: 64, outputs: classes, activation: 'linear' },
    ],
    // Percentiles 50 to 5, rounded, of the best validation metric of 48 baseline runs; see `builtinTasks`.
    targets: [0.152, 0.112, 0.1, 0.095, 0.088, 0.082],
    budget: { steps: 600, evaluateEvery: 20 },
  })
}
