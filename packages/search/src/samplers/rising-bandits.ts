import type { Json } from '../json.ts'
import type { SeenTrial, View } from '../study/view.ts'
import { violation } from '../study/view.ts'
import { restricted, widened } from './parts/restrict.ts'
import { randomSearch } from './random.ts'
import type { Proposal, Sampler } from './sampler.ts'

/** Options of `risingBandits`. */
export interface RisingBanditsOptions {
  /** Name of the choice, with dots. Default: the first that has variants, or else the first. */
  readonly dimension?: string
  /** What searches inside of each variant. Default: `randomSearch()`. */
  readonly inner?: Sampler
  /** Trials that a variant could get at most: how far its gains are continued. Default: 50. */
  readonly horizon?: number
  /** Over how many trials its gain is averaged, and the fewest after which it can be given up. Default: 7. */
  readonly window?: number
}

/**
 * Rising bandits for choosing an algorithm and its parameters together (Li, Jiang, Gao, Shao, Zhang and Cui 2020, Efficient Automatic CASH
 * via Rising Bandits, AAAI, arXiv 2012.04371): each value of a choice is an arm with a search of its own, which take turns. After t
 * trials with the best loss y(t) an arm can come to y(t) - (horizon - t) (y(t - window) - y(t)) / window at best, because the gains of a
 * search become smaller; it is given up for good when another one is there already. Failed trials are trials without gain.
 *
 * In a space without a choice it is the inner sampler.
 *
 * @throws RangeError for a dimension that is no choice of the space or does not always exist, and for a horizon or a window below 1
 */
export function risingBandits({
  dimension,
  inner = randomSearch(),
  horizon = 50,
  window = 7,
}: RisingBanditsOptions = {}): Sampler<Readonly<Record<string, Json>>> {
  for (const [name, value] of Object.entries({ horizon, window })) {
    if (!(value >= 1)) throw new RangeError(`risingBandits: ${name} must be 1 or more, not ${value}`)
  }
  return {
    name: 'risingBandits',
    async propose(view, request): Promise<Proposal<Readonly<Record<string, Json>>>> {
      const chosen = choiceOf(view, dimension)
      const ask = async (part: View, arm: number) => {
        const proposal = await inner.propose(part, { ...request, state: request.state?.[arm] ?? null })
        const { state, ...rest } = proposal
        return state === undefined ? rest : { ...rest, state: { ...request.state, [arm]: state } }
      }
      if (chosen === null) return ask(view, 0)
      const { domain } = view.space.dimensions[chosen]!
      const arms = domain.kind === 'choice' ? domain.values.map((_, arm) => arm) : []
      const trials = [...view.ended, ...view.open]
      const pulls = arms.map((arm) => trials.filter(({ point }) => point[chosen] === arm).length)
      let last: Proposal<Readonly<Record<string, Json>>> | null = null
      for (const arm of remaining(view.ended, chosen, arms, horizon, window).sort(
        (a, b) => pulls[a]! - pulls[b]! || a - b,
      )) {
        const proposal = await ask(restricted(view, chosen, arm), arm)
        if (proposal.kind === 'trial') return { ...proposal, point: widened(proposal.point, chosen, arm) }
        // A search that is through leaves its turns to the others.
        if (last === null || proposal.kind !== 'end') last = proposal
      }
      return last!
    },
  }
}

function choiceOf({ space: { dimensions } }: View, name: string | undefined): number | null {
  const isChoice = (index: number) => dimensions[index]?.domain.kind === 'choice'
  if (name !== undefined) {
    const named = dimensions.findIndex((dimension) => dimension.name === name)
    if (isChoice(named) && dimensions[named]!.condition === null) return named
    throw new RangeError(`risingBandits: '${name}' is no choice of this space that always exists`)
  }
  const always = dimensions.flatMap(({ condition }, index) => (condition === null && isChoice(index) ? [index] : []))
  const parents = always.filter((index) => dimensions.some(({ condition }) => condition?.dimension === index))
  return parents[0] ?? always[0] ?? null
}

/** The arms that have not been given up, when trials end one after the other. */
export function remaining(
  ended: readonly SeenTrial[],
  dimension: number,
  arms: readonly number[],
  horizon: number,
  window: number,
): number[] {
  const bests = new Map(arms.map((arm) => [arm, [] as number[]]))
  const left = new Set(arms)
  for (const trial of ended) {
    const curve = bests.get(trial.point[dimension] ?? -1)
    if (!curve) continue
    const isResult = trial.state === 'complete' && violation(trial) === 0
    curve.push(Math.min(curve.at(-1) ?? Infinity, isResult ? trial.losses![0]! : Infinity))
    const reached = Math.min(...[...left].map((arm) => bests.get(arm)!.at(-1) ?? Infinity))
    for (const arm of left) {
      const own = bests.get(arm)!
      if (own.length <= window || left.size === 1 || own.at(-1) === reached) continue
      const [best, before] = [own.at(-1)!, own.at(-1 - window)!]
      const gain = best === before ? 0 : (before - best) / window
      if (best - Math.max(0, horizon - own.length) * gain > reached) left.delete(arm)
    }
  }
  return [...left]
}
