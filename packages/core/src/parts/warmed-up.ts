import { type Value, where } from '../language/value.ts'

/** The decay rate on the way from `first` to `last` over so many steps, linear in the half-life ln ½ / ln β. */
export function warmedUp(first: Value, last: Value, t: Value, steps: Value): Value {
  const halfLife = (beta: Value) => beta.plus(1e-8).log().power(-1)
  const progress = t.over(steps)
  const mixed = halfLife(first).times(progress.negated().plus(1)).plus(halfLife(last).times(progress))
  return where(t.isLessThan(steps), mixed.power(-1).exp(), last)
}
