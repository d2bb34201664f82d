import {
  type BaseOptimizer,
  checkHyperValues,
  type GroupedOptimizer,
  type Optimizer,
  type ParameterGroup,
  type ParameterMatch,
  type WrappedOptimizer,
} from '../language/definition.ts'
import type { ParameterShape } from '../language/slots.ts'
import { didYouMean } from '../language/suggest.ts'
import { earlierGroup, fallbackGroup, fallbackOf, groupWithin, visit } from '../language/walk.ts'
import { declareHyper, followedBy, ownerOf } from './declare-hyper.ts'
import { type HyperOwner, HyperStore } from './hyper-store.ts'

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

function matches(match: ParameterMatch, shape: ParameterShape): boolean {
  return typeof match === 'function' ? match(shape) : isNamed(match, shape.name)
}

/** True for a name that an expression finds something in, or that is a string with `*` for anything. */
export function isNamed(match: RegExp | string, name: string): boolean {
  if (typeof match === 'string') {
    const pattern = match.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    return new RegExp(`^${pattern.join('.*')}$`).test(name)
  }
  // A global or sticky expression remembers where it stopped; matching must not depend on that.
  return new RegExp(match.source, match.flags.replace(/[gy]/g, '')).test(name)
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
  private readonly owners = new Map<BaseOptimizer | WrappedOptimizer, HyperOwner>()
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
    this.declare(own, optimizer, group)
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
      this.declare(own, optimizer, group, main)
      return this.walk(fallback, shape, `${own}/fallback/`, groupWithin(group, fallbackGroup), own)
    }
    this.declare(own, optimizer, group, main)
    return [{ optimizer, path: own, hyperPath: own, overridden: new Set() }]
  }

  private declare(path: string, optimizer: BaseOptimizer | WrappedOptimizer, group: string, main?: string): void {
    const owner = this.owners.get(optimizer) ?? ownerOf(optimizer)
    this.owners.set(optimizer, owner)
    declareHyper(
      this.hyper,
      path,
      { owner, values: new Map(Object.entries(optimizer.hyper)), parent: undefined, main },
      group,
    )
  }

  /** What a group sets for itself; the rest is as at `parent`. */
  private declareOverlay(path: string, parent: string, group: string, main?: string): void {
    declareHyper(this.hyper, path, { owner: this.hyper.owner(parent), values: new Map(), parent, main }, group)
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
      const followed = followedBy(this.hyper, element.hyperPath)
      const main = followed === undefined ? undefined : `${followed}@${name}`
      if (main !== undefined) this.declareOverlay(main, followed!, name)
      this.declareOverlay(hyperPath, element.hyperPath, name, main)
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
