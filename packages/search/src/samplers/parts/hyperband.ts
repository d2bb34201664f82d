import type { Resource } from '../../study/view.ts'
import { levelsOf, type Rung } from './rungs.ts'
import type { Bracket } from './schedule.ts'

/** How many trials brackets begin with: by the formula of the journal, rounded up, or of the first preprint, rounded down. */
export type Sizes = 'journal' | 'preprint'

/**
 * The brackets of Hyperband, the most halving first. With S + 1 levels of the resource bracket s = S ... 0 begins at level S - s with
 * ceil((S + 1) eta^s / (s + 1)) trials (`journal`), or floor((S + 1) / (s + 1)) eta^s (`preprint`), and is halved by floors.
 */
export function hyperbandBrackets(levels: readonly number[], eta: number, sizes: Sizes): readonly (readonly Rung[])[] {
  const top = levels.length - 1
  return levels.map((_, first) => {
    const halvings = top - first
    const power = eta ** halvings
    const count =
      sizes === 'journal'
        ? Math.ceil(((top + 1) * power) / (halvings + 1))
        : Math.floor((top + 1) / (halvings + 1)) * power
    return levels.slice(first).map((until, rung) => ({ count: Math.floor(count / eta ** rung), until }))
  })
}

/** The brackets of Hyperband one after the other, all of them so many times. */
export function* hyperbandPlan(resource: Resource, eta: number, sizes: Sizes, rounds: number): Generator<Bracket> {
  const brackets = hyperbandBrackets(levelsOf(resource, eta), eta, sizes)
  for (let bracket = 0; bracket < rounds * brackets.length; bracket++) {
    const first = bracket % brackets.length
    yield { bracket, first, rungs: brackets[first]! }
  }
}
