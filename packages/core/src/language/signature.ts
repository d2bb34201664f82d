import type { BaseOptimizer, Optimizer, WrappedOptimizer } from './definition.ts'
import { visit } from './walk.ts'

/**
 * What an optimizer is made of, without its hyperparameters.
 * @param without names of wrappers to leave out; groups without an optimizer of their own are then left out too.
 */
export function signatureOf(optimizer: Optimizer, without?: ReadonlySet<string>): string {
  return visit(optimizer, {
    base: (base) => {
      const { definition, decay, maximize, fallback } = base
      const settings = changedOptions(base)
      if (decay !== definition.decay) settings.push(`decay: ${decay}`)
      if (maximize) settings.push('maximize: true')
      if (fallback) settings.push(`fallback: ${signatureOf(fallback, without)}`)
      return `${definition.name}(${settings.join(', ')})`
    },
    wrapped: (wrapped) => {
      const { definition, earlier, inner } = wrapped
      if (without?.has(definition.name)) return signatureOf(inner, without)
      const settings = changedOptions(wrapped).map((setting) => `, ${setting}`)
      const parts = [...(earlier ? [earlier] : []), inner].map((part) => signatureOf(part, without))
      return `${definition.name}(${parts.join(', ')}${settings.join('')})`
    },
    grouped: ({ base, groups }) => {
      const own = without ? groups.filter(({ optimizer }) => optimizer) : groups
      const list = own.map(({ name, frozen, optimizer }) => {
        const what = frozen ? 'frozen' : optimizer ? signatureOf(optimizer, without) : 'hyper'
        return `${name}: ${what}`
      })
      const main = signatureOf(base, without)
      return list.length > 0 ? `groups(${main}, ${list.join(', ')})` : main
    },
  })
}

function changedOptions({ definition, options }: BaseOptimizer | WrappedOptimizer): string[] {
  const changed = Object.entries(options).filter(([name, value]) => value !== definition.options?.[name])
  return changed.map(([name, value]) => `${name}: ${value}`)
}
