import type { Optimizer, OptimizerFactory, SearchRange } from 'fallline'
import { choice, type Definition, float, type Parameter, variant } from './space/domain.ts'

/** The values of a choice among optimizers: the name as `kind`, and what its definition declares to be searched. */
export interface ChosenOptimizer {
  readonly kind: string
  readonly [hyperparameter: string]: number | string
}

/**
 * A parameter over optimizers and their hyperparameters: each optimizer is a variant with the ranges that its definition declares.
 *
 * ```ts
 * import { adamW, lion, muon } from 'fallline'
 * import { optimizerChoice, space } from '@fallline/search'
 *
 * const training = space({ optimizer: optimizerChoice({ adamW, lion, muon }) })
 * ```
 *
 * @param factories optimizers of the library, or your own from `defineOptimizer`, by the names they are to have
 */
export function optimizerChoice(factories: Readonly<Record<string, OptimizerFactory>>): Parameter<ChosenOptimizer> {
  const variants = Object.entries(factories).map(([name, factory]) => [name, searchSpaceOf(factory)] as const)
  return variant(Object.fromEntries(variants)) as Parameter<ChosenOptimizer>
}

/** The hyperparameters that the definition of an optimizer declares to be searched, with their ranges. */
export function searchSpaceOf({ definition }: OptimizerFactory): Definition {
  return Object.fromEntries(
    Object.entries(definition.search as Readonly<Record<string, SearchRange>>).map(([name, range]) => [
      name,
      range.scale === 'choice' ? choice(range.values) : float(range.minimum, range.maximum, { scale: range.scale }),
    ]),
  )
}

/**
 * Makes the optimizer that a trial chose.
 *
 * @param factories those that `optimizerChoice` was given
 * @throws RangeError for a name that is not among them
 */
export function chosenOptimizer(
  factories: Readonly<Record<string, OptimizerFactory>>,
  { kind, ...hyperparameters }: ChosenOptimizer,
): Optimizer {
  const factory = factories[kind]
  if (!factory) throw new RangeError(`there is no optimizer '${kind}' among ${Object.keys(factories).join(', ')}`)
  return factory(hyperparameters as Readonly<Record<string, number>>)
}
