import type { BaseOptimizer, WrappedOptimizer } from './definition.ts'

/**
 * What a rule is made of, without its hyperparameters.
 * @param further settings that are not its own.
 */
export function signatureOfRule(optimizer: BaseOptimizer, further: readonly string[] = []): string {
  const { definition, decay, maximize } = optimizer
  const settings = changedOptions(optimizer)
  if (decay !== definition.decay) settings.push(`decay: ${decay}`)
  if (maximize) settings.push('maximize: true')
  return `${definition.name}(${[...settings, ...further].join(', ')})`
}

/** The options that are not what they usually are. */
export function changedOptions({ definition, options }: BaseOptimizer | WrappedOptimizer): string[] {
  const changed = Object.entries(options).filter(([name, value]) => value !== definition.options?.[name])
  return changed.map(([name, value]) => `${name}: ${value}`)
}
