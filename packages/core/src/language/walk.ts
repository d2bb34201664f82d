import type { BaseOptimizer, GroupedOptimizer, Optimizer, WrappedOptimizer } from './definition.ts'

/** What to do with an optimizer of each kind. */
export interface Visitor<Result> {
  readonly base: (optimizer: BaseOptimizer) => Result
  readonly wrapped: (optimizer: WrappedOptimizer) => Result
  readonly grouped: (optimizer: GroupedOptimizer) => Result
}

/** Does what a visitor says of the kind that an optimizer is of. */
export function visit<Result>(optimizer: Optimizer, visitor: Visitor<Result>): Result {
  switch (optimizer.kind) {
    case 'base':
      return visitor.base(optimizer)
    case 'wrapped':
      return visitor.wrapped(optimizer)
    case 'grouped':
      return visitor.grouped(optimizer)
    default:
      return optimizer satisfies never
  }
}

/** The optimizers directly inside another: given fallbacks, what is wrapped, what runs first, and those of groups. */
export function partsOf(optimizer: Optimizer): Optimizer[] {
  return visit(optimizer, {
    base: ({ fallback }) => (fallback ? [fallback] : []),
    wrapped: ({ inner, earlier }) => (earlier ? [inner, earlier] : [inner]),
    grouped: ({ base, groups }) => [base, ...groups.flatMap((group) => group.optimizer ?? [])],
  })
}

/** Whether a rule anywhere in an optimizer takes all its parameters as one vector. */
export function isJoint(optimizer: Optimizer): boolean {
  return elementsIn(optimizer).some((element) => element.kind === 'base' && element.definition.joint === true)
}

/** The rules and wrappers anywhere in an optimizer, outer ones first. */
export function elementsIn(optimizer: Optimizer): (BaseOptimizer | WrappedOptimizer)[] {
  const own = visit<(BaseOptimizer | WrappedOptimizer)[]>(optimizer, {
    base: (base) => [base],
    wrapped: (wrapped) => [wrapped],
    grouped: () => [],
  })
  return [...own, ...partsOf(optimizer).flatMap(elementsIn)]
}

/** The wrappers and the rule of the parameters that no group takes, outermost first. */
export function mainChain(optimizer: Optimizer): (BaseOptimizer | WrappedOptimizer)[] {
  return visit<(BaseOptimizer | WrappedOptimizer)[]>(optimizer, {
    base: (base) => [base],
    wrapped: (wrapped) => [wrapped, ...mainChain(wrapped.inner)],
    grouped: ({ base }) => mainChain(base),
  })
}

/** The rule of the parameters that no group takes. */
export function mainRule(optimizer: Optimizer): BaseOptimizer {
  return visit(optimizer, {
    base: (base) => base,
    wrapped: ({ inner }) => mainRule(inner),
    grouped: ({ base }) => mainRule(base),
  })
}

/** The optimizer that takes the parameters which this one does not accept, given or its own. */
export function fallbackOf({ fallback, definition, options }: BaseOptimizer): Optimizer | undefined {
  return fallback ?? definition.fallback?.(options as never)
}

/** The name of the group that a switch begins with, and of the one that a fallback takes. */
export const earlierGroup = 'first'
export const fallbackGroup = 'fallback'

/** The name of a group within another, `''` being that of the parameters that no group takes. */
export function groupWithin(outer: string, name: string): string {
  return outer === '' ? name : `${outer}/${name}`
}
