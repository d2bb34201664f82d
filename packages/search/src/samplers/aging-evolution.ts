import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import { size, valueCount } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import { type Genome, genomeOf, pointOf, randomGenome, reflected } from './parts/genome.ts'
import { ranked } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `agingEvolution`. */
export interface AgingEvolutionOptions {
  /** How many of the youngest trials are alive. Default: 50. */
  readonly population?: number
  /** How many take part in a tournament. Default: 10. */
  readonly tournament?: number
}

/**
 * Aging evolution: the best of a random sample of the population has a child with one change, and the oldest dies, however good it is (Real,
 * Aggarwal, Huang, Le 2019, Regularized Evolution for Image Classifier Architecture Search, arXiv 1802.01548). The change draws a choice
 * anew and moves a number by a normal step of deviation 0.2, or to a neighbouring value.
 *
 * @throws RangeError for a population or a tournament below 1
 */
export function agingEvolution(options: AgingEvolutionOptions = {}): Sampler<null> {
  const population = wholeFrom('agingEvolution', 'population', options.population ?? 50, 1)
  const tournament = wholeFrom('agingEvolution', 'tournament', options.tournament ?? 10, 1)
  return {
    name: 'agingEvolution',
    propose({ space, ended, open }, { random }) {
      const alive = ended.slice(-population)
      const isYoung = ended.length + open.length < population || alive.length === 0
      const parent = ranked(Array.from({ length: isYoung ? 0 : tournament }, () => random.pick(alive)))[0]
      const genome = parent ? changed(space, genomeOf(space, parent), random) : randomGenome(space, random)
      return { kind: 'trial', point: pointOf(space, genome), note: { genome } }
    },
  }
}

/** The genome with another value in one dimension that exists and has several. */
function changed(space: Space, genome: Genome, random: Random): number[] {
  const point = pointOf(space, genome)
  const free = space.dimensions.flatMap(({ domain }, index) =>
    point[index] !== null && size(domain) > 1 ? [index] : [],
  )
  const next = [...genome]
  if (free.length === 0) return next
  const dimension = random.pick(free)
  const { domain } = space.dimensions[dimension]!
  if (domain.kind === 'choice') {
    const others = domain.values.length - 1
    const index = random.integer(0, others - 1)
    next[dimension] = (index + (index >= point[dimension]! ? 1 : 0) + 0.5) / domain.values.length
    return next
  }
  const step = 0.2 * random.normal()
  const count = valueCount(domain)
  const least = count === null ? 0 : 1 / count
  const moved = genome[dimension]! + Math.sign(step) * Math.max(least, Math.abs(step))
  next[dimension] = reflected(moved)
  return next
}
