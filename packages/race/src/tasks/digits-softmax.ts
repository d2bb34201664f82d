import type { Task } from '../task.ts'
import { classes, pixels } from './digits.ts'
import { createDigitsClassifier } from './digits-classifier.ts'

/**
 * A linear softmax classifier of the digits: convex, so every optimizer that works reaches the same loss in the end.
 */
export function createDigitsSoftmax(): Task {
  return createDigitsClassifier({
    name: 'digits-softmax',
    title: 'Digits, softmax classifier',
    description:
      'A linear softmax classifier (64-10, 650 parameters) on 8 x 8 handwritten digits; loss: mean cross-entropy of batches of 64.',
    layers: [{ name: 'output', inputs: pixels, outputs: classes, activation: 'linear' }],
    // Percentiles 50 to 5, rounded, of the best validation metric of 48 baseline runs; see `builtinTasks`.
    targets: [0.26, 0.21, 0.155, 0.143, 0.118, 0.112],
    budget: { steps: 600, evaluateEvery: 20 },
  })
}
