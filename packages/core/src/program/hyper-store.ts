import { checkOrder, type HyperRange, type Ordered } from '../language/hyperparameters.ts'
import type { Input } from '../language/inputs.ts'
import { isRelativeRate, relativeTo } from '../language/relative-rate.ts'
import { type HyperValue, isZero } from '../schedules/schedule.ts'

/** What a step knows of the optimizer or wrapper that hyperparameters belong to. */
export interface HyperOwner {
  readonly title: string
  readonly hyper: Readonly<Record<string, HyperRange>>
  /** Pairs of hyperparameters of which the first must not be above the second. */
  readonly ordered: Ordered
  /** What it takes besides gradients. */
  readonly inputs: Readonly<Record<string, Input>>
  /** True when it says where the model is evaluated. */
  readonly evaluates: boolean
}

/** The hyperparameters of one optimizer or wrapper as one group has them. */
export interface HyperEntry {
  readonly owner: HyperOwner
  values: ReadonlyMap<string, HyperValue>
  readonly parent: string | undefined
  /** For a fallback: the path of the optimizer that it stands in for. */
  readonly main: string | undefined
}

/** The hyperparameters of the optimizers in use, by path; an overlay falls back to its parent. */
export class HyperStore {
  readonly entries = new Map<string, HyperEntry>()
  /** The keys that were asked for, split. */
  private readonly places = new Map<string, readonly [path: string, name: string]>()
  /** The hyperparameter paths of each group, outermost first; `''` is the default group. */
  readonly groups = new Map<string, string[]>([['', []]])

  owner(path: string): HyperOwner {
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
    for (const [path, { owner }] of this.entries) {
      if (owner.ordered.length > 0) checkOrder(owner, (name) => given(path, name))
    }
  }
}

/** Splits `path.name` at its last dot: the form in which graphs name hyperparameters. */
export function splitHyperKey(key: string): [path: string, name: string] {
  const dot = key.lastIndexOf('.')
  return [key.slice(0, dot), key.slice(dot + 1)]
}

/** Trace-time facts about hyperparameters that a program was built on: whether they are zero. */
export class HyperFacts {
  /** By `path.name`. */
  readonly facts: Map<string, boolean>

  constructor(facts = new Map<string, boolean>()) {
    this.facts = facts
  }

  /** @throws Error when the new value contradicts what the program was built on. */
  check(store: HyperStore, path: string, name: string, value: HyperValue): void {
    const zero = this.facts.get(`${path}.${name}`)
    if (zero !== undefined && zero !== isZero(value)) {
      const { title } = store.owner(path)
      throw new Error(
        zero
          ? `${title}: made with ${name} 0, so what ${name} needs was left out; compile it with a ${name} other than 0 to change it later`
          : `${title}: made with a ${name} other than 0; it cannot become 0 while training, compile it anew`,
      )
    }
  }
}
