import { positiveUpTo, wholeFrom } from '../check.ts'
import {
  type Adaptation,
  beginAdaptation,
  defaultPopulation,
  sampleAdaptation,
  updateAdaptation,
} from './parts/covariance-adaptation.ts'
import { generational } from './parts/generations.ts'

/** Options of `cooperativeCoevolution`. */
export interface CooperativeCoevolutionOptions {
  /** How many numbers a species has. Default: the root of how many there are, rounded up. */
  readonly species?: number
  /** Points of a generation. Default: `4 + floor(3 ln m)` for species of m numbers. */
  readonly population?: number
  /** Deviation at the start, in coordinates from 0 to 1. Default: 0.3. */
  readonly sigma?: number
}

type State = {
  /** The best that all species have found together. */
  readonly context: readonly number[]
  readonly smallest: number | null
  /** Of each species its axes, and how they are distributed. */
  readonly species: readonly { readonly axes: readonly number[]; readonly adaptation: Adaptation }[]
  /** Whose generation it is. */
  readonly turn: number
}

/**
 * Cooperative coevolution (Potter and De Jong 1994, A Cooperative Coevolutionary Approach to Function Optimization, PPSN III): the numbers are
 * dealt out to species at random, which evolve by turns. A member of one is judged together with the best that the others have found. Each
 * species is a CMA-ES (COCMA in PyPop7, arXiv 2212.05652), so time and memory grow with numbers times the size of a species, not with
 * the square of the numbers. Good where few numbers depend on each other. Choices are drawn from probabilities of their own.
 *
 * @throws RangeError for species below 1, a population below 2, and for a sigma that is not above 0 and at most 1
 */
export function cooperativeCoevolution(options: CooperativeCoevolutionOptions = {}) {
  const sigma = positiveUpTo('cooperativeCoevolution', 'sigma', options.sigma ?? 0.3, 1)
  if (options.species !== undefined) wholeFrom('cooperativeCoevolution', 'species', options.species, 1)
  if (options.population !== undefined) wholeFrom('cooperativeCoevolution', 'population', options.population, 2)
  const sizeFor = (axes: number) => Math.min(axes, options.species ?? Math.ceil(Math.sqrt(axes)))
  return generational<State>('cooperativeCoevolution', {
    begin(axes, random) {
      const shuffled = random.shuffle(axes.map((_, axis) => axis))
      const count = Math.ceil(axes.length / Math.max(1, sizeFor(axes.length)))
      const species = Array.from({ length: count }, (_, index) => {
        const own = shuffled.filter((_, place) => place % count === index)
        const mean = own.map(() => 0.5)
        const population = options.population ?? defaultPopulation(sizeFor(axes.length))
        return { axes: own, adaptation: beginAdaptation({ mean, sigma, population, kind: 'full', adaptRates: false }) }
      })
      return { context: axes.map(() => 0.5), smallest: null, species, turn: 0 }
    },
    population: ({ species, turn }) => species[turn]?.adaptation.population ?? 1,
    sample({ context, species, turn }, random) {
      const sample = [...context]
      if (species.length === 0) return sample
      const { axes, adaptation } = species[turn]!
      for (const [place, value] of sampleAdaptation(adaptation, random).entries()) sample[axes[place]!] = value
      return sample
    },
    update({ context, smallest, species, turn }, points) {
      const { axes, adaptation } = species[turn]!
      const parts = points.map(({ sample }) => axes.map((axis) => sample[axis]!))
      const isGain = smallest === null || points[0]!.loss <= smallest
      const evolved = { axes, adaptation: updateAdaptation(adaptation, parts) }
      return {
        context: isGain ? points[0]!.sample : context,
        smallest: isGain ? points[0]!.loss : smallest,
        species: species.map((each, index) => (index === turn ? evolved : each)),
        turn: (turn + 1) % species.length,
      }
    },
  })
}
