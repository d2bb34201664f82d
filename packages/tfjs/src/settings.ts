import type { Optimizer } from 'fallline'
import {
  checkHyperValues,
  didYouMean,
  evaluateSchedule,
  type HyperValue,
  isRelativeRate,
  relativeTo,
} from 'fallline/internal'

type Values = Readonly<Record<string, HyperValue>>

/** The optimizers and wrappers inside a group, outermost first, each with the hyperparameters that it has there. */
function ownersOf(optimizer: Optimizer, group: readonly string[]) {
  const found: { definition: { title: string; hyper: object }; values: Values }[] = []
  /** `main`: the learning rate that a fallback may follow. */
  const visit = (current: Optimizer, path: readonly string[], overlay: Values, main: HyperValue | undefined): void => {
    const own = path.length === 0
    const earlier = earlierOf(current, path)
    if (earlier) visit(earlier, path.slice(1), overlay, main)
    else if (current.kind === 'wrapped') {
      if (own) found.push({ definition: current.definition, values: { ...current.hyper, ...overlay } })
      visit(current.inner, path, overlay, main)
    } else if (current.kind === 'base') {
      const values = { ...current.hyper, ...overlay }
      const { learningRate } = values
      if (learningRate !== undefined && main !== undefined && isRelativeRate(learningRate)) {
        values.learningRate = relativeTo(main, learningRate)
      }
      if (own) found.push({ definition: current.definition, values })
      else visit(fallbackOf(current, path), path.slice(1), overlay, values.learningRate)
    } else if (own) visit(current.base, [], overlay, main)
    else {
      const member = current.groups.find(({ name }) => name === path[0])
      if (!member) visit(current.base, path, overlay, main)
      else if (member.optimizer) visit(member.optimizer, path.slice(1), overlay, main)
      else visit(current.base, path.slice(1), { ...overlay, ...member.hyper }, main)
    }
  }
  visit(optimizer, group, {}, undefined)
  return found
}

/** What a switch begins with, when the path leads there. */
function earlierOf(optimizer: Optimizer, [name]: readonly string[]): Optimizer | undefined {
  return optimizer.kind === 'wrapped' && name === 'first' ? optimizer.earlier : undefined
}

function fallbackOf(optimizer: Extract<Optimizer, { kind: 'base' }>, path: readonly string[]): Optimizer {
  const fallback =
    path[0] === 'fallback'
      ? (optimizer.fallback ?? optimizer.definition.fallback?.(optimizer.options as never))
      : undefined
  if (fallback) return fallback
  throw new Error(`unknown group '${path.join('/')}' of ${optimizer.definition.title}`)
}

const pathOf = (group: string): string[] => (group === '' ? [] : group.split('/'))

/** The hyperparameters of a group at a step: what they are while nothing is compiled. */
export function hyperBeforeTraining(optimizer: Optimizer, group: string, step: number): Record<string, number> {
  const result: Record<string, number> = {}
  for (const { definition, values } of ownersOf(optimizer, pathOf(group)).reverse()) {
    for (const name of Object.keys(definition.hyper)) result[name] = evaluateSchedule(values[name]!, step)
  }
  return result
}

/**
 * The same optimizer with other hyperparameters in one group; the outermost that has a name takes it.
 * @throws Error for an unknown group or name or an invalid value.
 */
export function withHyper(optimizer: Optimizer, values: Values, group: string): Optimizer {
  const path = pathOf(group)
  const owners = ownersOf(optimizer, path).map(({ definition }) => definition)
  const remaining = new Map(Object.entries(values))
  for (const name of remaining.keys()) {
    if (owners.some(({ hyper }) => Object.hasOwn(hyper, name))) continue
    const known = [...new Set(owners.flatMap(({ hyper }) => Object.keys(hyper)))]
    throw new Error(
      `set: unknown hyperparameter '${name}'; valid names are ${known.join(', ')}${didYouMean(name, known)}`,
    )
  }
  const take = (definition: { readonly title: string; readonly hyper: object }): Record<string, HyperValue> => {
    const own = [...remaining].filter(([name]) => Object.hasOwn(definition.hyper, name))
    for (const [name] of own) remaining.delete(name)
    const taken = Object.fromEntries(own)
    checkHyperValues(definition as Parameters<typeof checkHyperValues>[0], taken)
    return taken
  }
  const change = (current: Optimizer, rest: readonly string[]): Optimizer => {
    if (current.kind === 'wrapped') {
      const earlier = earlierOf(current, rest)
      if (earlier) return { ...current, earlier: change(earlier, rest.slice(1)) }
      const hyper = rest.length === 0 ? { ...current.hyper, ...take(current.definition) } : current.hyper
      return { ...current, hyper, inner: change(current.inner, rest) }
    }
    if (current.kind === 'base') {
      if (rest.length > 0) return { ...current, fallback: change(fallbackOf(current, rest), rest.slice(1)) }
      return { ...current, hyper: { ...current.hyper, ...take(current.definition) } }
    }
    const index = current.groups.findIndex(({ name }) => name === rest[0])
    if (index < 0) return { ...current, base: change(current.base, rest) }
    const member = current.groups[index]!
    const changed = member.optimizer
      ? { ...member, optimizer: change(member.optimizer, rest.slice(1)) }
      : { ...member, hyper: { ...member.hyper, ...Object.assign({}, ...owners.map(take)) } }
    return { ...current, groups: current.groups.with(index, changed) }
  }
  return change(optimizer, path)
}
