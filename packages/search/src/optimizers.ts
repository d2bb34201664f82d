import type { HyperValue, Optimizer, OptimizerFactory, SearchRange } from 'fallline'
import { choice, type Definition, float, type Parameter, type RangeOptions, variant } from './space/domain.ts'

/** The values of a choice among optimizers: the name as `kind`, and what is searched of it. */
export interface ChosenOptimizer {
  readonly kind: string
  readonly [hyperparameter: string]: number | string
}

/** Something of your own that makes an optimizer: with a wrapper around it, a schedule in it, or hyperparameters of both. */
export interface OwnOptimizer {
  readonly optimizer: (hyper: Record<string, HyperValue>) => Optimizer
  /** Ranges of the hyperparameters that `optimizer` is called with. */
  readonly search: Readonly<Record<string, SearchRange>>
}

/** What can be chosen among: optimizers of the library, your own from `defineOptimizer`, and whatever else makes one. */
export type OptimizerChoices = Readonly<Record<string, OptimizerFactory | OwnOptimizer>>

/**
 * A parameter over optimizers and their hyperparameters: each is a variant with the ranges that its definition declares, or that come
 * with it.
 *
 * ```ts
 * import { adamW, cautious, type HyperValue, lion, logUniform } from 'fallline'
 * import { optimizerChoice, space } from '@fallline/search'
 *
 * const careful = {
 *   optimizer: (hyper: Record<string, HyperValue>) => cautious(adamW(hyper)),
 *   search: { learningRate: logUniform(1e-4, 1e-2) },
 * }
 * const training = space({ optimizer: optimizerChoice({ adamW, lion, careful }) })
 * ```
 *
 * @param choices optimizers by the names they are to have
 */
export function optimizerChoice(choices: OptimizerChoices): Parameter<ChosenOptimizer> {
  const variants = Object.entries(choices).map(([name, each]) => [name, searchSpaceOf(each)] as const)
  return variant(Object.fromEntries(variants)) as Parameter<ChosenOptimizer>
}

/** What is searched of an optimizer: the hyperparameters that its definition declares, or that come with it, with their ranges. */
export function searchSpaceOf(optimizer: OptimizerFactory | OwnOptimizer): Definition {
  const { search } = 'definition' in optimizer ? optimizer.definition : optimizer
  return Object.fromEntries(
    Object.entries(search as Readonly<Record<string, SearchRange>>).map(([name, range]) => [name, parameterOf(range)]),
  )
}

/** A range as optimizers declare it, as a parameter of a space. */
export function parameterOf(range: SearchRange, options: Pick<RangeOptions, 'digits'> = {}): Parameter<number> {
  return range.scale === 'choice'
    ? choice(range.values)
    : float(range.minimum, range.maximum, { scale: range.scale, ...options })
}

/**
 * Makes the optimizer that a trial chose.
 *
 * @param choices those that `optimizerChoice` was given
 * @param instead hyperparameters in the place of those that were chosen, such as a schedule that begins at the learning rate
 * @throws RangeError for a name that is not among them
 */
export function chosenOptimizer(
  choices: OptimizerChoices,
  { kind, ...chosen }: ChosenOptimizer,
  instead: Readonly<Record<string, HyperValue>> = {},
): Optimizer {
  const found = choices[kind]
  if (!found) throw new RangeError(`there is no optimizer '${kind}' among ${Object.keys(choices).join(', ')}`)
  const hyper = { ...(chosen as Record<string, number>), ...instead }
  return 'definition' in found ? found(hyper) : found.optimizer(hyper)
}
