import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial } from '../study/view.ts'
import { binaryCrossover, type Genome, genomeOf, pointOf, polynomialMutation, randomGenome } from './parts/genome.ts'
import { compare, ranked } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `variableLength`. */
export interface VariableLengthOptions {
  /** How many of the best trials have children, and how many trials without gain let chromosomes grow. Default: 20. */
  readonly population?: number
}

/**
 * A genetic algorithm whose chromosomes differ in length: the parameters that exist. It begins with short ones, and lets them grow by a gene
 * when a generation has gained nothing (Xiao, Yan, Basodi, Ji, Pan 2020, Efficient Hyperparameter Optimization in Deep Learning Using a
 * Variable Length Genetic Algorithm, arXiv 2006.12703). Children take each variant from one parent with all that belongs to it, and mix what
 * both parents have. For spaces with variants; in others all chromosomes are of one length.
 *
 * @throws RangeError for a population below 2
 */
export function variableLength(options: VariableLengthOptions = {}): Sampler<null> {
  const population = wholeFrom('variableLength', 'population', options.population ?? 20, 2)
  return {
    name: 'variableLength',
    propose({ space, ended }, { random }) {
      const limit = lengthLimit(space, ended, population)
      const parents = ranked(ended, population)
      const draw = () => {
        if (ended.length < population) return randomGenome(space, random)
        const pick = () => genomeOf(space, [random.pick(parents), random.pick(parents)].sort(compare)[0]!)
        const genome = crossed(space, pick(), pick(), random)
        return polynomialMutation(space, genome, 10, 1 / genome.length, random)
      }
      let genome: Genome = draw()
      for (let attempt = 0; attempt < 50 && lengthOf(space, genome) > limit; attempt++) {
        const other = draw()
        if (lengthOf(space, other) < lengthOf(space, genome)) genome = other
      }
      return { kind: 'trial', point: pointOf(space, genome), note: { genome: [...genome] } }
    },
  }
}

/** How many parameters exist. */
export function lengthOf(space: Space, genome: Genome): number {
  return pointOf(space, genome).filter((coordinate) => coordinate !== null).length
}

/** The least length that a point of the space has, and one more for each generation that gained nothing. */
export function lengthLimit(space: Space, ended: readonly SeenTrial[], population: number): number {
  let [limit, since] = [shortest(space), 0]
  let best: SeenTrial | undefined
  for (const trial of ended) {
    since++
    if (!best || compare(trial, best) < 0) {
      best = trial
      since = 0
    }
    if (since < population) continue
    limit++
    since = 0
  }
  return limit
}

function shortest({ dimensions }: Space): number {
  const least = (dimension: number): number => {
    const { domain } = dimensions[dimension]!
    if (domain.kind !== 'choice') return 1
    const lengths = domain.values.map((value) =>
      dimensions.reduce(
        (sum, { condition }, index) =>
          condition?.dimension === dimension && condition.value === value ? sum + least(index) : sum,
        0,
      ),
    )
    return 1 + Math.min(...lengths)
  }
  return dimensions.reduce((sum, { condition }, index) => (condition === null ? sum + least(index) : sum), 0)
}

/** What both parents have is mixed; where their variants differ, the child has the one of either with its own parameters. */
export function crossed(space: Space, a: Genome, b: Genome, random: Random): number[] {
  const [pointA, pointB] = [pointOf(space, a), pointOf(space, b)]
  const mixed = binaryCrossover(space, a, b, 5, random)
  return mixed.map((gene, dimension) => {
    const [hasA, hasB] = [pointA[dimension] !== null, pointB[dimension] !== null]
    // Genes of a parent in which they do nothing are not passed on where the other uses them.
    if (hasA === hasB) return gene
    return hasA ? a[dimension]! : b[dimension]!
  })
}
