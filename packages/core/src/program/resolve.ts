import {
  type BaseOptimizer,
  checkHyperValues,
  isZero,
  type Optimizer,
  type OptimizerDefinition,
  type ParameterGroup,
  type ParameterMatch,
  type WrappedOptimizer,
} from '../language/definition.ts'
import type { ParameterShape } from '../language/slots.ts'
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
  readonly values: Map<string, HyperValue>
  readonly parent: string | undefined
}

/** The hyperparameters of the optimizers in use, by path; an overlay falls back to its parent. */
export class HyperStore {
  private readonly entries = new Map<string, HyperEntry>()
  /** The keys that were asked for, split. */
  private readonly places = new Map<string, readonly [path: string, name: string]>()
  /** The hyperparameter paths of each group, outermost first; `''` is the default group. */
  readonly groups = new Map<string, string[]>([['', []]])

  declare(path: string, owner: BaseOptimizer | WrappedOptimizer, group: string, parent?: string): void {
    const members = this.groups.get(group) ?? []
    this.groups.set(group, members)
    if (!members.includes(path)) members.push(path)
    if (this.entries.has(path)) return
    this.entries.set(path, { owner, values: new Map(parent === undefined ? Object.entries(owner.hyper) : []), parent })
  }

  owner(path: string): BaseOptimizer | WrappedOptimizer {
    return this.entries.get(path)!.owner
  }

  get(path: string, name: string): HyperValue {
    const entry = this.entries.get(path)!
    return entry.values.get(name) ?? this.get(entry.parent!, name)
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
    this.entries.get(path)!.values.set(name, value)
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
  if (optimizer.kind === 'base') return { ...optimizer, maximize: true }
  if (optimizer.kind === 'wrapped') {
    const { earlier } = optimizer
    return { ...optimizer, inner: uphill(optimizer.inner), ...(earlier ? { earlier: uphill(earlier) } : {}) }
  }
  const groups = optimizer.groups.map((group) =>
    group.optimizer ? { ...group, optimizer: uphill(group.optimizer) } : group,
  )
  return { ...optimizer, base: uphill(optimizer.base), groups }
}

/** Finds, for every parameter, the optimizer and wrappers that apply to it. */
export class Resolver {
  readonly hyper = new HyperStore()
  private readonly used = new Set<ParameterGroup>()
  private readonly seen = new Map<string, ParameterGroup>()
  private readonly fallbacks = new Map<OptimizerDefinition, Optimizer>()

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

  private walk(optimizer: Optimizer, shape: ParameterShape, path: string, group: string): ChainElement[] | undefined {
    if (optimizer.kind === 'grouped') return this.walkGroups(optimizer, shape, path, group)
    const own = `${path}${optimizer.definition.name}`
    if (optimizer.kind === 'wrapped') {
      this.hyper.declare(own, optimizer, group)
      const inner = this.walk(optimizer.inner, shape, `${own}/`, group)
      const element = { optimizer, path: own, hyperPath: own, overridden: new Set<string>() }
      if (!inner || !optimizer.earlier) return inner && [element, ...inner]
      const earlier = this.walk(optimizer.earlier, shape, `${own} first/`, group === '' ? 'first' : `${group}/first`)
      return earlier && [{ ...element, earlier }, ...inner]
    }
    const { definition, options } = optimizer
    if (definition.accepts && !definition.accepts(shape, options as never)) {
      const fallback = optimizer.fallback ?? this.fallbackOf(definition)
      if (!fallback) {
        throw new Error(
          `${definition.title} needs ${definition.needs}: parameter '${shape.name}' has shape [${shape.shape.join(', ')}]; ` +
            `give it another optimizer with groups(${definition.name}(), [{ match: '${shape.name}', optimizer: adamW() }])`,
        )
      }
      return this.walk(
        optimizer.maximize ? uphill(fallback) : fallback,
        shape,
        `${own}/fallback/`,
        group === '' ? 'fallback' : `${group}/fallback`,
      )
    }
    this.hyper.declare(own, optimizer, group)
    return [{ optimizer, path: own, hyperPath: own, overridden: new Set() }]
  }

  private walkGroups(
    optimizer: Extract<Optimizer, { kind: 'grouped' }>,
    shape: ParameterShape,
    path: string,
    group: string,
  ): ChainElement[] | undefined {
    for (const candidate of optimizer.groups) {
      const name = group === '' ? candidate.name : `${group}/${candidate.name}`
      this.seen.set(name, candidate)
    }
    const found = optimizer.groups.find((candidate) => matches(candidate.match, shape))
    if (!found) return this.walk(optimizer.base, shape, path, group)
    this.used.add(found)
    if (found.frozen) return undefined
    const name = group === '' ? found.name : `${group}/${found.name}`
    if (found.optimizer) return this.walk(found.optimizer, shape, `${path}${found.name}/`, name)
    return this.overlay(this.walk(optimizer.base, shape, path, group), found, name)
  }

  private overlay(chain: ChainElement[] | undefined, group: ParameterGroup, name: string): ChainElement[] | undefined {
    if (!chain) return undefined
    const remaining = new Map(Object.entries(group.hyper!))
    const result = chain.map((element) => {
      const hyperPath = `${element.hyperPath}@${name}`
      const own = [...remaining.keys()].filter((key) => Object.hasOwn(element.optimizer.definition.hyper, key))
      this.hyper.declare(hyperPath, element.optimizer, name, element.hyperPath)
      for (const key of own) {
        const value = remaining.get(key)!
        checkHyperValues(element.optimizer.definition, { [key]: value })
        this.hyper.set(hyperPath, key, value)
        remaining.delete(key)
      }
      return { ...element, hyperPath, overridden: new Set([...element.overridden, ...own]) }
    })
    if (remaining.size > 0) {
      const known = chain.flatMap((element) => Object.keys(element.optimizer.definition.hyper))
      throw new Error(
        `groups: ${name} sets unknown hyperparameter '${[...remaining.keys()][0]}'; valid names are ${known.join(', ')}`,
      )
    }
    return result
  }

  private fallbackOf(definition: OptimizerDefinition): Optimizer | undefined {
    const known = this.fallbacks.get(definition) ?? definition.fallback?.()
    if (known) this.fallbacks.set(definition, known)
    return known
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
