import { evaluateSchedule, type HyperValue } from '../schedules/schedule.ts'
import {
  type BaseOptimizer,
  checkHyperValues,
  type Optimizer,
  type OptimizerDefinition,
  type WrappedOptimizer,
} from './definition.ts'
import { checkOrder } from './hyperparameters.ts'
import { isRelativeRate, relativeTo } from './relative-rate.ts'
import { didYouMean } from './suggest.ts'
import { earlierGroup, fallbackGroup, fallbackOf, visit } from './walk.ts'

type Values = Readonly<Record<string, HyperValue>>

interface Owner {
  readonly definition: Pick<OptimizerDefinition, 'title' | 'hyper' | 'ordered'>
  /** The hyperparameters that it has in the group. */
  readonly values: Values
}

/** The optimizers and wrappers inside a group, outermost first. */
function ownersOf(optimizer: Optimizer, group: readonly string[]): Owner[] {
  const found: Owner[] = []
  /** `main`: the learning rate that a fallback may follow. */
  const look = (current: Optimizer, path: readonly string[], overlay: Values, main: HyperValue | undefined): void => {
    const own = path.length === 0
    visit(current, {
      base: (base) => {
        const values = { ...base.hyper, ...overlay }
        const { learningRate } = values
        if (learningRate !== undefined && main !== undefined && isRelativeRate(learningRate)) {
          values.learningRate = relativeTo(main, learningRate)
        }
        if (own) found.push({ definition: base.definition, values })
        else look(fallbackAt(base, path), path.slice(1), overlay, values.learningRate)
      },
      wrapped: (wrapped) => {
        const earlier = earlierAt(wrapped, path)
        if (earlier) return look(earlier, path.slice(1), overlay, main)
        if (own) found.push({ definition: wrapped.definition, values: { ...wrapped.hyper, ...overlay } })
        look(wrapped.inner, path, overlay, main)
      },
      grouped: ({ base, groups }) => {
        const member = groups.find(({ name }) => name === path[0])
        if (!member) look(base, path, overlay, main)
        else if (member.optimizer) look(member.optimizer, path.slice(1), overlay, main)
        else look(base, path.slice(1), { ...overlay, ...member.hyper }, main)
      },
    })
  }
  look(optimizer, group, {}, undefined)
  return found
}

/** What a switch begins with, when the path leads there. */
function earlierAt({ earlier }: WrappedOptimizer, [name]: readonly string[]): Optimizer | undefined {
  return name === earlierGroup ? earlier : undefined
}

/** @throws Error when the path does not lead to the fallback, or there is none. */
function fallbackAt(optimizer: BaseOptimizer, path: readonly string[]): Optimizer {
  const fallback = path[0] === fallbackGroup ? fallbackOf(optimizer) : undefined
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
  const found = ownersOf(optimizer, path)
  const owners = found.map(({ definition }) => definition)
  const remaining = new Map(Object.entries(values))
  for (const name of remaining.keys()) {
    if (owners.some(({ hyper }) => Object.hasOwn(hyper, name))) continue
    const known = [...new Set(owners.flatMap(({ hyper }) => Object.keys(hyper)))]
    throw new Error(
      `set: unknown hyperparameter '${name}'; valid names are ${known.join(', ')}${didYouMean(name, known)}`,
    )
  }
  const take = (definition: Owner['definition']): Record<string, HyperValue> => {
    const own = [...remaining].filter(([name]) => Object.hasOwn(definition.hyper, name))
    for (const [name] of own) remaining.delete(name)
    const taken = Object.fromEntries(own)
    checkHyperValues(definition, taken)
    const before = found.find((owner) => owner.definition === definition)!.values
    checkOrder(definition, (name) => taken[name] ?? before[name]!)
    return taken
  }
  const change = (current: Optimizer, rest: readonly string[]): Optimizer =>
    visit<Optimizer>(current, {
      base: (base) => {
        if (rest.length > 0) return { ...base, fallback: change(fallbackAt(base, rest), rest.slice(1)) }
        return { ...base, hyper: { ...base.hyper, ...take(base.definition) } }
      },
      wrapped: (wrapped) => {
        const earlier = earlierAt(wrapped, rest)
        if (earlier) return { ...wrapped, earlier: change(earlier, rest.slice(1)) }
        const hyper = rest.length === 0 ? { ...wrapped.hyper, ...take(wrapped.definition) } : wrapped.hyper
        return { ...wrapped, hyper, inner: change(wrapped.inner, rest) }
      },
      grouped: (grouped) => {
        const index = grouped.groups.findIndex(({ name }) => name === rest[0])
        if (index < 0) return { ...grouped, base: change(grouped.base, rest) }
        const member = grouped.groups[index]!
        const changed = member.optimizer
          ? { ...member, optimizer: change(member.optimizer, rest.slice(1)) }
          : { ...member, hyper: { ...member.hyper, ...Object.assign({}, ...owners.map(take)) } }
        return { ...grouped, groups: grouped.groups.with(index, changed) }
      },
    })
  return change(optimizer, path)
}
