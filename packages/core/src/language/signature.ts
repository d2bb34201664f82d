import type { BaseOptimizer, Optimizer, WrappedOptimizer } from './definition.ts'
import { visit } from './walk.ts'

/** What an optimizer is made of, without its hyperparameters: checkpoints of equal signature fit each other. */
export function signatureOf(optimizer: Optimizer): string {
  return visit(optimizer, {
    base: (base) => {
      const { definition, decay, maximize, fallback } = base
      const settings = changedOptions(base)
      if (decay !== definition.decay) settings.push(`decay: ${decay}`)
      if (maximize) settings.push('maximize: true')
      if (fallback) settings.push(`fallback: ${signatureOf(fallback)}`)
      return `${definition.name}(${settings.join(', ')})`
    },
    wrapped: (wrapped) => {
      const { definition, earlier, inner } = wrapped
      const settings = changedOptions(wrapped).map((setting) => `, ${setting}`)
      const parts = [...(earlier ? [earlier] : []), inner].map(signatureOf)
      return `${definition.name}(${parts.join(', ')}${settings.join('')})`
    },
    grouped: ({ base, groups }) => {
      const list = groups.map(({ name, frozen, optimizer: own }) => {
        const what = frozen ? 'frozen' : own ? signatureOf(own) : 'hyper'
        return `${name}: ${what}`
      })
      return `groups(${signatureOf(base)}, ${list.join(', ')})`
    },
  })
}

function changedOptions({ definition, options }: BaseOptimizer | WrappedOptimizer): string[] {
  const changed = Object.entries(options).filter(([name, value]) => value !== definition.options?.[name])
  return changed.map(([name, value]) => `${name}: ${value}`)
}
