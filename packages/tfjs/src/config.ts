import { type Optimizer, type OptimizerFactory, relativeRate, type TransformFactory } from 'fallline'
import { describeOptimizer, type Factories, reviveOptimizer } from 'fallline/internal'
import { schedules } from './schedules.ts'

/** Makes optimizers or wraps them, and says which. */
export type NamedFactory = Pick<OptimizerFactory, 'definition'> | Pick<TransformFactory<string>, 'definition'>

const remembered = new Map<string, NamedFactory>()

/** Lets descriptions name what this makes. */
export function remember(factory: NamedFactory): void {
  remembered.set(factory.definition.name, factory)
}

const factories: Factories = {
  schedules: { ...schedules, relativeRate },
  factoryOf(name) {
    const found = remembered.get(name)
    if (found) return found
    throw new Error(
      `the saved optimizer uses '${name}', which this program has not used yet; before loading: ` +
        `import { ${name}, registerOptimizers } from '@fallline/tfjs' and call registerOptimizers(${name})`,
    )
  },
}

/**
 * What an optimizer is made of as text, for `getConfig`.
 * @throws Error for a function as schedule or as the match of a group, which no file can hold.
 */
export function describe(optimizer: Optimizer): string {
  return JSON.stringify(describeOptimizer(optimizer, factories))
}

/** @throws Error when the text names a factory that this program does not know. */
export function revive(text: string): Optimizer {
  return reviveOptimizer(JSON.parse(text), factories)
}
