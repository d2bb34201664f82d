import * as fallline from 'fallline'
import {
  constant,
  cosine,
  findOptimizer,
  inverseSquareRoot,
  linear,
  type Optimizer,
  registry,
  type Schedule,
  type TransformFactory,
  warmupCosine,
  warmupStableDecay,
} from 'fallline'
import type { Order } from './messages.ts'

/** The schedules of the page, from a peak and the number of steps. */
export const schedules: Readonly<Record<string, (peak: number, steps: number) => Schedule>> = {
  constant: (peak) => constant(peak),
  cosine: (peak, steps) => cosine({ from: peak, to: 0, steps }),
  linear: (peak, steps) => linear({ from: peak, to: 0, steps }),
  warmupCosine: (peak, steps) => warmupCosine({ peak, warmup: Math.floor(steps / 10), steps }),
  warmupStableDecay: (peak, steps) => {
    const [warmup, decay] = [Math.floor(steps / 10), Math.floor(steps / 5)]
    return warmupStableDecay({ peak, warmup, stable: steps - warmup - decay, decay })
  },
  inverseSquareRoot: (peak, steps) => inverseSquareRoot({ peak, warmup: Math.ceil(steps / 10) }),
}

/** The optimizers of the library, by title. */
export const optimizers = registry
  .map(({ definition: { name, title } }) => ({ name, title }))
  .toSorted((a, b) => a.title.localeCompare(b.title))

/** The wrappers of the library, by name. */
export const wrappers: ReadonlyMap<string, TransformFactory<string>> = new Map(
  Object.entries(fallline).flatMap(([name, value]) => {
    const isWrapper = typeof value === 'function' && 'definition' in value && !registry.includes(value as never)
    return isWrapper ? [[name, value as unknown as TransformFactory<string>] as const] : []
  }),
)

/** The learning rate that an optimizer has when none is given. */
export function defaultRate(optimizer: string): number {
  return findOptimizer(optimizer).definition.hyper.learningRate!.default
}

/** The optimizer of an order. */
export function optimizerOf({ optimizer, wrapper, schedule, learningRate, steps }: Order): Optimizer {
  const inner = findOptimizer(optimizer)({ learningRate: schedules[schedule]!(learningRate, steps) })
  return wrapper === 'none' ? inner : wrappers.get(wrapper)!(inner)
}
