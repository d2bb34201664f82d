import type { HyperValue } from '../schedules/schedule.ts'
import { checkOptimizer, defineTransform, type Optimizer, type WrappedOptimizer } from './definition.ts'
import { stepCount } from './hyperparameters.ts'

const between = defineTransform({
  name: 'switchAfter',
  title: 'Switch between optimizers',
  hyper: { steps: stepCount(1000) },
})

/**
 * Switches from one optimizer to another after a number of `steps` (default 1000), in the middle of a run and without
 * stopping: `switchAfter(adam(), sgd({ learningRate: 0.1 }), { steps: 2000 })`. Both may be wrapped; for three, switch
 * from a switch. Steps, schedules and bias corrections of the second count from the switch, and its state starts there.
 *
 * The state of both is kept for the whole run. `set` changes the second; the group `first` is the first one.
 *
 * ```ts
 * import { adam, compile, cosine, sgd, switchAfter } from 'fallline'
 *
 * const then = sgd({ learningRate: cosine({ from: 0.1, to: 0, steps: 500 }), momentum: 0.9 })
 * export const optimizer = await compile(switchAfter(adam(), then, { steps: 100 }), { weights: [10] })
 * optimizer.set({ learningRate: 3e-4 }, { group: 'first' })
 * ```
 *
 * @throws Error for optimizers that move or evaluate at points of their own (schedule-free, averages, sharpness-aware), which
 * cannot come or go in the middle of a run.
 */
export function switchAfter<First extends string, Then extends string>(
  first: Optimizer<First>,
  then: Optimizer<Then>,
  settings: { readonly steps?: HyperValue } = {},
): Optimizer<Then | 'steps'> {
  checkOptimizer('switchAfter: the first argument', first)
  checkOptimizer('switchAfter: the second argument', then)
  const wrapped = between(then, settings)
  return { ...(wrapped as WrappedOptimizer), earlier: first }
}
