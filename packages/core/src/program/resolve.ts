import {
  type BaseOptimizer,
  checkHyperValues,
  checkOrder,
  type GroupedOptimizer,
  isZero,
  type Optimizer,
  type ParameterGroup,
  type ParameterMatch,
  type WrappedOptimizer,
} from '../language/definition.ts'
import { isRelativeRate, relativeTo } from '../language/relative-rate.ts'
import type { ParameterShape } from '../language/slots.ts'
import { didYouMean } from '../language/suggest.ts'
import { earlierGroup, fallbackGroup, fallbackOf, groupWithin, visit } from '../language/walk.ts'
import type { HyperValue } from '../schedules/schedule.ts'

/** One optimizer or wrapper as it applies to one parameter. */
export interface ChainElement {
  readonly optimizer: BaseOptimizer | WrappedOptimizer
  /** Names its state; the same for groups that differ in hyperparameters only. */
  readonly path: string
  /** Names its hyperparameters. */
  readonly hyperPath: string
  /** The hyperparameters that a group set for itself. */
  readonly overridden: ReadonlySet<string>
  /** For a switch: the chain that runs before it. */
  readonly earlier?: readonly ChainElement[]
}

/** The elements of a chain and of those that its switches leave. */
export function elementsOf(chain: readonly ChainElement[]): ChainElement[] {
  return chain.flatMap((element) => [element, ...elementsOf(element.earlier ?? [])])
}

interface HyperEntry {
  readonly owner: BaseOptimizer | WrappedOptimizer
  values: ReadonlyMap<string, HyperValue>
  readonly parent: string | undefined
  /** For a fallback: the path of the optimizer that it stands in for. */
  readonly main: string | undefined
}

/** The hyperparameters of the optimizers in use, by path; an overlay falls back to its parent. */
export class HyperStore {
  private readonly entries = new Map<string, HyperEntry>()
  /** The optimizers that have an order among their hyperparameters, by path. */
  private readonly ordered = new Map<string, Parameters<typeof checkOrder>[0]>()
  /** The keys that were asked for, split. */
  private readonly places = new Map<string, readonly [path: string, name: string]>()
  /** The hyperparameter paths of each group, outermost first; `''` is the default group. */
  readonly groups = new Map<string, string[]>([['', []]])

  declare(
    path: string,
    owner: BaseOptimizer | WrappedOptimizer,
    group: string,
    { parent, main }: { readonly parent?: string | undefined; readonly main?: string | undefined } = {},
  ): void {
    const members = this.groups.get(group) ?? []
    this.groups.set(group, members)
    if (!members.includes(path)) members.push(path)
    const known = this.entries.get(path)
    if (known) {
      if (known.owner === owner) return
      throw new Error(
        `groups: two optimizers (${known.owner.definition.title} and ${owner.definition.title}) would both be named ` +
          `'${path}'; give the group another name`,
      )
    }
    const values = new Map(parent === undefined ? Object.entries(owner.hyper) : [])
    this.entries.set(path, { owner, values, parent, main })
    if (owner.definition.ordered) this.ordered.set(path, owner.definition)
  }

  /** The path of the optimizer that a fallback stands in for, when its learning rate follows that one's. */
  followedBy(path: string): string | undefined {
    const { main, parent, values } = this.entries.get(path)!
    const rate = values.get('learningRate')
    if (rate !== undefined) return isRelativeRate(rate) ? main : undefined
    return parent === undefined || this.followedBy(parent) === undefined ? undefined : main
  }

  owner(path: string): BaseOptimizer | WrappedOptimizer {
    return this.entries.get(path)!.owner
  }

  get(path: string, name: string): HyperValue {
    const value = this.given(path, name)
    if (!isRelativeRate(value)) return value
    const { main } = this.entries.get(path)!
    return main === undefined ? value : relativeTo(this.get(main, 'learningRate'), value)
  }

  private given(path: string, name: string): HyperValue {
    const entry = this.entries.get(path)!
    return entry.values.get(name) ?? this.given(entry.parent!, name)
  }

  /** Path and name of the hyperparameter that graphs call `key`. */
  placeOf(key: string): readonly [path: string, name: string] {
    const known = this.places.get(key)
    if (known) return known
    const place = splitHyperKey(key)
    this.places.set(key, place)
    return place
  }

  set(path: string, name: string, value: HyperValue): void {
    const entry = this.entries.get(path)!
    entry.values = new Map(entry.values).set(name, value)
  }

  /** Sets several; @throws Error when one is then above another that it must not exceed, and nothing is changed. */
  setAll(changes: readonly { readonly path: string; readonly name: string; readonly value: HyperValue }[]): void {
    const before = [...this.entries.values()].map((entry) => [entry, entry.values] as const)
    try {
      for (const { path, name, value } of changes) this.set(path, name, value)
      this.checkOrder((path, name) => this.get(path, name))
    } catch (error) {
      for (const [entry, values] of before) entry.values = values
      throw error
    }
  }

  /** @throws Error when a value is above another that it must not exceed. */
  checkOrder(given: (path: string, name: string) => HyperValue): void {
    for (const [path, definition] of this.ordered) checkOrder(definition, (name) => given(path, name))
  }
}

/** Splits `path.name` at its last dot: the form in which graphs name hyperparameters. */
export function splitHyperKey(key: string): [path: string, name: string] {
  const dot = key.lastIndexOf('.')
  return [key.slice(0, dot), key.slice(dot + 1)]
}

function matches(match: ParameterMatch, shape: ParameterShape): boolean {
  if (typeof match === 'function') return match(shape)
  if (typeof match === 'string') {
    const pattern = match.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    return new RegExp(`^${pattern.join('.*')}$`).test(shape.name)
  }
  // A global or sticky expression remembers where it stopped; matching must not depend on that.
  return new RegExp(match.source, match.flags.replace(/[gy]/g, '')).test(shape.name)
}

/** The same optimizer going uphill: what takes over for a maximizing optimizer must maximize too. */
function uphill(optimizer: Optimizer): Optimizer {
  return visit<Optimizer>(optimizer, {
    base: (base) => ({ ...base, maximize: true }),
    wrapped: (wrapped) => {
      const { inner, earlier } = wrapped
      return { ...wrapped, inner: uphill(inner), ...(earlier ? { earlier: uphill(earlier) } : {}) }
    },
    grouped: (grouped) => ({
      ...grouped,
      base: uphill(grouped.base),
      groups: grouped.groups.map((group) =>
        group.optimizer ? { ...group, optimizer: uphill(group.optimizer) } : group,
      ),
    }),
  })
}

/** Finds, for every parameter, the optimizer and wrappers that apply to it. */
export class Resolver {
  readonly hyper = new HyperStore()
  private readonly used = new Set<ParameterGroup>()
  private readonly seen = new Map<string, ParameterGroup>()
  /** One for all parameters, so that they share its hyperparameters. */
  private readonly fallbacks = new Map<BaseOptimizer, Optimizer>()

  /** The chain from the outermost wrapper to the optimizer, or `undefined` for a frozen parameter. */
  resolve(optimizer: Optimizer, shape: ParameterShape): ChainElement[] | undefined {
    return this.walk(optimizer, shape, '', '')
  }

  /** @throws Error when a group matched no parameter. */
  checkGroups(names: readonly string[]): void {
    for (const [name, group] of this.seen) {
      if (!this.used.has(group)) {
        throw new Error(
          `groups: ${name} (${String(group.match)}) matches no parameter; there are ${names.join(', ') || 'none'}`,
        )
      }
    }
  }

  /** @param main the path of the optimizer that this one is the fallback of. */
  private walk(
    optimizer: Optimizer,
    shape: ParameterShape,
    path: string,
    group: string,
    main?: string,
  ): ChainElement[] | undefined {
    return visit(optimizer, {
      base: (base) => this.walkBase(base, shape, path, group, main),
      wrapped: (wrapped) => this.walkWrapped(wrapped, shape, path, group, main),
      grouped: (grouped) => this.walkGroups(grouped, shape, path, group, main),
    })
  }

  private walkWrapped(
    optimizer: WrappedOptimizer,
    shape: ParameterShape,
    path: string,
    group: string,
    main: string | undefined,
  ): ChainElement[] | undefined {
    const own = `${path}${optimizer.definition.name}`
    this.hyper.declare(own, optimizer, group)
    const inner = this.walk(optimizer.inner, shape, `${own}/`, group, main)
    const element = { optimizer, path: own, hyperPath: own, overridden: new Set<string>() }
    if (!inner || !optimizer.earlier) return inner && [element, ...inner]
    const earlier = this.walk(optimizer.earlier, shape, `${own} first/`, groupWithin(group, earlierGroup))
    return earlier && [{ ...element, earlier }, ...inner]
  }

  private walkBase(
    optimizer: BaseOptimizer,
    shape: ParameterShape,
    path: string,
    group: string,
    main: string | undefined,
  ): ChainElement[] | undefined {
    const { definition, options } = optimizer
    const own = `${path}${definition.name}`
    if (definition.accepts && !definition.accepts(shape, options as never)) {
      const fallback = this.fallbackOf(optimizer)
      if (!fallback) {
        throw new Error(
          `${definition.title} needs ${definition.needs}: parameter '${shape.name}' has shape [${shape.shape.join(', ')}]; ` +
            `give it another optimizer with groups(${definition.name}(), [{ match: '${shape.name}', optimizer: adamW() }])`,
        )
      }
      // Its rate may be followed, also where no parameter is its own.
      this.hyper.declare(own, optimizer, group, { main })
      return this.walk(fallback, shape, `${own}/fallback/`, groupWithin(group, fallbackGroup), own)
    }
    this.hyper.declare(own, optimizer, group, { main })
    return [{ optimizer, path: own, hyperPath: own, overridden: new Set() }]
  }

  private fallbackOf(optimizer: BaseOptimizer): Optimizer | undefined {
    const known = this.fallbacks.get(optimizer)
    if (known) return known
    const own = fallbackOf(optimizer)
    if (!own) return undefined
    const fallback = optimizer.maximize ? uphill(own) : own
    this.fallbacks.set(optimizer, fallback)
    return fallback
  }

  private walkGroups(
    optimizer: GroupedOptimizer,
    shape: ParameterShape,
    path: string,
    group: string,
    main: string | undefined,
  ): ChainElement[] | undefined {
    for (const candidate of optimizer.groups) {
      this.seen.set(groupWithin(group, candidate.name), candidate)
    }
    const found = optimizer.groups.find((candidate) => matches(candidate.match, shape))
    if (!found) return this.walk(optimizer.base, shape, path, group, main)
    this.used.add(found)
    if (found.frozen) return undefined
    const name = groupWithin(group, found.name)
    if (found.optimizer) return this.walk(found.optimizer, shape, `${path}${found.name}/`, name, main)
    return this.overlay(this.walk(optimizer.base, shape, path, group, main), found, name)
  }

  private overlay(chain: ChainElement[] | undefined, group: ParameterGroup, name: string): ChainElement[] | undefined {
    if (!chain) return undefined
    const remaining = new Map(Object.entries(group.hyper!))
    const result = chain.map((element) => {
      const hyperPath = `${element.hyperPath}@${name}`
      const own = [...remaining.keys()].filter((key) => Object.hasOwn(element.optimizer.definition.hyper, key))
      const followed = this.hyper.followedBy(element.hyperPath)
      const main = followed === undefined ? undefined : `${followed}@${name}`
      if (main !== undefined) this.hyper.declare(main, this.hyper.owner(followed!), name, { parent: followed })
      this.hyper.declare(hyperPath, element.optimizer, name, { parent: element.hyperPath, main })
      for (const key of own) {
        const value = remaining.get(key)!
        checkHyperValues(element.optimizer.definition, { [key]: value })
        // The rate that a group sets is that of the optimizer which the fallback follows.
        this.hyper.set(main !== undefined && key === 'learningRate' ? main : hyperPath, key, value)
        remaining.delete(key)
      }
      return { ...element, hyperPath, overridden: new Set([...element.overridden, ...own]) }
    })
    if (remaining.size > 0) {
      const known = [...new Set(chain.flatMap((element) => Object.keys(element.optimizer.definition.hyper)))]
      const unknown = [...remaining.keys()][0]!
      throw new Error(
        `groups: ${name} sets unknown hyperparameter '${unknown}'; valid names are ${known.join(', ')}${didYouMean(unknown, known)}`,
      )
    }
    return result
  }
}

/** Trace-time facts about hyperparameters that a program was built on: whether they are zero. */
export class HyperFacts {
  private readonly facts = new Map<string, boolean>()

  record(store: HyperStore, path: string, name: string): boolean {
    const zero = isZero(store.get(path, name))
    this.facts.set(`${path}.${name}`, zero)
    return zero
  }

  /** @throws Error when the new value contradicts what the program was built on. */
  check(store: HyperStore, path: string, name: string, value: HyperValue): void {
    const zero = this.facts.get(`${path}.${name}`)
    if (zero !== undefined && zero !== isZero(value)) {
      const { title } = store.owner(path).definition
      throw new Error(
        zero
          ? `${title}: made with ${name} 0, so what ${name} needs was left out; compile it with a ${name} other than 0 to change it later`
          : `${title}: made with a ${name} other than 0; it cannot become 0 while training, compile it anew`,
      )
    }
  }
}
