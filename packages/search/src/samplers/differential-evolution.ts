import { positiveUpTo, wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial, View } from '../study/view.ts'
import { type Genome, genomeOf, isChoice, pointOf, randomGenome } from './parts/genome.ts'
import { compare } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `differentialEvolution`. */
export interface DifferentialEvolutionOptions {
  /** At least 4. Default: 5 for every dimension, from 10 to 40. */
  readonly population?: number
  /** `rand/1/bin`: `a + F (b - c)`; `current-to-best/1/bin`: `x + F (best - x) + F (a - b)`. Default: `rand/1/bin`. */
  readonly strategy?: 'rand/1/bin' | 'current-to-best/1/bin'
  /** F, the weight of differences, up to 2. Default: 0.5. */
  readonly weight?: number
  /** CR, the share of genes that come from the mutant, up to 1. Default: 0.9. */
  readonly crossover?: number
}

type State = {
  readonly method: string
  readonly taken: number
  /** The trial in each slot. */
  readonly population: readonly number[]
}

/**
 * Differential evolution (Storn and Price 1997, Differential Evolution, Journal of Global Optimization 11): a mutant made of differences
 * within the population, crossed with a target, replaces the target where it is not worse. A replacement takes place as soon as a trial has
 * ended. Choices of a mutant are those that its parents agree on, or of one of them by chance.
 *
 * @throws RangeError for a population below 4, a weight outside of (0, 2] and a crossover outside of (0, 1]
 */
export function differentialEvolution(options: DifferentialEvolutionOptions = {}): Sampler<State> {
  const { strategy = 'rand/1/bin' } = options
  const method = 'differentialEvolution'
  if (options.population !== undefined) wholeFrom(method, 'population', options.population, 4)
  const weight = positiveUpTo(method, 'weight', options.weight ?? 0.5, 2)
  const crossover = positiveUpTo(method, 'crossover', options.crossover ?? 0.9, 1)
  return {
    name: method,
    propose(view, { number, random, state }) {
      const { space } = view
      const size = options.population ?? Math.min(40, Math.max(10, 5 * space.dimensions.length))
      const kept = replaced(state?.method === method ? state : { method, taken: 0, population: [] }, view, size)
      const trials = kept.population.map((each) => view.trial(each)!)
      const changed = kept.taken !== state?.taken || state.method !== method
      const target = trials.length < size ? -1 : number % size
      const genome =
        target < 0
          ? randomGenome(space, random)
          : mutant(
              space,
              trials.map((trial) => genomeOf(space, trial)),
              { target, best: bestOf(trials), strategy, weight, crossover },
              random,
            )
      return {
        kind: 'trial',
        point: pointOf(space, genome),
        note: { genome, target: target < 0 ? null : kept.population[target]! },
        ...(changed && { state: kept }),
      }
    },
  }
}

/** The population after the trials that have ended since: each takes the slot of its target, or an empty one, or that of the worst. */
function replaced(state: State, view: View, size: number): State {
  if (state.taken === view.ended.length) return state
  const population = state.population.filter((number) => view.trial(number))
  for (const trial of view.ended.slice(Math.min(state.taken, view.ended.length))) {
    const { target = null } = (trial.note ?? {}) as { target?: number | null }
    if (population.length < size) {
      population.push(trial.number)
      continue
    }
    // A target that has been replaced in the meantime has left its slot to a better one, and the worst is challenged in its place.
    const slot = target === null ? -1 : population.indexOf(target)
    const challenged = slot >= 0 ? slot : worstOf(population.map((number) => view.trial(number)!))
    if (isAsGood(trial, view.trial(population[challenged]!)!)) population[challenged] = trial.number
  }
  return { ...state, population, taken: view.ended.length }
}

function isAsGood(trial: SeenTrial, other: SeenTrial): boolean {
  return compare({ ...trial, number: other.number }, other) <= 0
}

function worstOf(trials: readonly SeenTrial[]): number {
  return trials.reduce((worst, trial, index) => (compare(trial, trials[worst]!) > 0 ? index : worst), 0)
}

function bestOf(trials: readonly SeenTrial[]): number {
  return trials.reduce((best, trial, index) => (compare(trial, trials[best]!) < 0 ? index : best), 0)
}

function mutant(
  space: Space,
  genomes: readonly Genome[],
  {
    target,
    best,
    strategy,
    weight,
    crossover,
  }: Required<Omit<DifferentialEvolutionOptions, 'population'>> & {
    target: number
    best: number
  },
  random: Random,
): number[] {
  const others = random.shuffle(genomes.map((_, index) => index).filter((index) => index !== target))
  const [a, b, c] = others.slice(0, 3).map((index) => genomes[index]!) as [Genome, Genome, Genome]
  const current = genomes[target]!
  const sure = random.integer(0, current.length - 1)
  return current.map((gene, dimension) => {
    if (random.uniform() >= crossover && dimension !== sure) return gene
    const [first, second, third] = [a[dimension]!, b[dimension]!, c[dimension]!]
    if (isChoice(space, dimension)) {
      if (strategy === 'rand/1/bin') return second === third ? first : random.pick([first, second, third])
      return random.pick([gene, genomes[best]![dimension]!, first])
    }
    const value =
      strategy === 'rand/1/bin'
        ? first + weight * (second - third)
        : gene + weight * (genomes[best]![dimension]! - gene) + weight * (first - second)
    // Beyond a bound, a place between the bound and where the gene was.
    if (value < 0) return random.uniform() * gene
    return value > 1 ? 1 - random.uniform() * (1 - gene) : value
  })
}
