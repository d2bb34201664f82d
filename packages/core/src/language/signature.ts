import type { Optimizer } from './definition.ts'
import { changedOptions, signatureOfRule } from './rule-signature.ts'
import { visit } from './walk.ts'

/**
 * What an optimizer is made of, without its hyperparameters.
 * @param without names of wrappers to leave out; groups without an optimizer of their own are then left out too.
 */
export function signatureOf(optimizer: Optimizer, without?: ReadonlySet<string>): string {
  return visit(optimizer, {
    base: (base) => signatureOfRule(base, base.fallback ? [`fallback: ${signatureOf(base.fallback, without)}`] : []),
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
