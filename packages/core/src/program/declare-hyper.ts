/** What tracing notes of hyperparameters. */

import { type BaseOptimizer, inputsOf, type WrappedOptimizer } from '../language/definition.ts'
import { isRelativeRate } from '../language/relative-rate.ts'
import { isZero } from '../schedules/schedule.ts'
import type { HyperEntry, HyperFacts, HyperOwner, HyperStore } from './hyper-store.ts'

/** What a step knows of an optimizer or a wrapper. */
export function ownerOf(optimizer: BaseOptimizer | WrappedOptimizer): HyperOwner {
  const { definition, options } = optimizer
  const { title, hyper, ordered = [], evaluations } = definition
  const evaluates = (evaluations?.(options) ?? []).length > 0
  return { title, hyper, ordered, inputs: inputsOf(optimizer), evaluates }
}

/** Adds hyperparameters, unless they are known; @throws Error when they are known as those of something else. */
export function declareHyper({ entries, groups }: HyperStore, path: string, entry: HyperEntry, group: string): void {
  const members = groups.get(group) ?? []
  groups.set(group, members)
  if (!members.includes(path)) members.push(path)
  const known = entries.get(path)
  if (!known) entries.set(path, entry)
  else if (known.owner !== entry.owner) {
    throw new Error(
      `groups: two optimizers (${known.owner.title} and ${entry.owner.title}) would both be named '${path}'; give the ` +
        'group another name',
    )
  }
}

/** The path of the optimizer that a fallback stands in for, when its learning rate follows that one's. */
export function followedBy(store: HyperStore, path: string): string | undefined {
  const { main, parent, values } = store.entries.get(path)!
  const rate = values.get('learningRate')
  if (rate !== undefined) return isRelativeRate(rate) ? main : undefined
  return parent === undefined || followedBy(store, parent) === undefined ? undefined : main
}

/** Whether a hyperparameter is 0, which what is traced depends on. */
export function recordFact({ facts }: HyperFacts, store: HyperStore, path: string, name: string): boolean {
  const zero = isZero(store.get(path, name))
  facts.set(`${path}.${name}`, zero)
  return zero
}
