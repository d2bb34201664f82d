import type { Task } from '../task.ts'

/** A task that comes with this package; `load` reads its data and builds it. */
export interface BuiltinTask {
  readonly name: string
  readonly title: string
  readonly description: string
  load(): Promise<Task>
}

/**
 * The tasks that come with this package, cheapest first. Nothing of a task is loaded before its `load` is called.
 *
 * Their targets were fixed from baselines alone, before any other optimizer was run: SGD with Nesterov momentum and
 * AdamW (beta2 0.999), 24 runs each over the task's budget, with points of a shifted Halton sequence (bases 2, 3, 5;
 * shifts 0.37, 0.81, 0.13) on logarithmic scales: learning rate 0.001 to 3 (Nesterov) or 0.0001 to 0.1 (AdamW), 1 -
 * momentum or 1 - beta1 from 0.02 to 0.5, weight decay 0.0001 to 0.1 (AdamW only); linear warm-up over 5 % of the
 * steps, then cosine to zero; seeds 9001 to 9024. The targets are the percentiles 50, 40, 30, 20, 10 and 5 of the best
 * validation metric of the 48 runs, rounded: several, because with one hard target most optimizers would miss and with
 * one easy target none would differ.
 */
export const builtinTasks: readonly BuiltinTask[] = [
  {
    name: 'digits-softmax',
    title: 'Digits, softmax classifier',
    description: 'A linear softmax classifier (64-10) on 8 x 8 handwritten digits: convex, 650 parameters.',
    load: async () => (await import('./digits-softmax.ts')).createDigitsSoftmax(),
  },
  {
    name: 'digits-mlp',
    title: 'Digits, multi-layer perceptron',
    description: 'A ReLU network (64-64-10) on 8 x 8 handwritten digits, 4,810 parameters.',
    load: async () => (await import('./digits-mlp.ts')).createDigitsMlp(),
  },
  {
    name: 'digits-autoencoder',
    title: 'Digits, autoencoder',
    description: 'An autoencoder (64-64-8-64-64, tanh and sigmoid) on 8 x 8 handwritten digits, 9,416 parameters.',
    load: async () => (await import('./digits-autoencoder.ts')).createDigitsAutoencoder(),
  },
  {
    name: 'character-transformer',
    title: 'Moby-Dick, character-level transformer',
    description: 'A small transformer that predicts the next character of "Moby-Dick", differentiated by jax-js.',
    load: async () => (await import('./character-transformer.ts')).createCharacterTransformer(),
  },
]
