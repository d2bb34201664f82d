import { wholeFrom } from '../../check.ts'
import type { Random } from '../../random.ts'
import type { Space } from '../../space/space.ts'
import type { SeenTrial, View } from '../../study/view.ts'
import type { Sampler } from '../sampler.ts'
import { binaryCrossover, type Genome, genomeOf, pointOf, polynomialMutation, randomGenome } from './genome.ts'

/** Options of genetic algorithms. */
export interface GeneticOptions {
  /** How many trials survive a generation. Default: 30. */
  readonly population?: number
  /** Probability that a child has two parents. Default: 0.9. */
  readonly crossover?: number
  /** How near numbers of a child are to its parents, from 0. Default: 5. */
  readonly crossoverIndex?: number
  /** How small mutations are, from 0; each gene mutates with probability 1 / n. Default: 10. */
  readonly mutationIndex?: number
}

type State = {
  readonly method: string
  readonly taken: number
  readonly population: readonly number[]
}

/** What tells algorithms with survivors apart. */
export interface Selection {
  /** Those of the trials that survive, `count` of more. */
  survive(trials: readonly SeenTrial[], count: number, objectives: number, random: Random): SeenTrial[]
  /** Gives a parent at a time. */
  parents(trials: readonly SeenTrial[], objectives: number, random: Random): () => SeenTrial
}

/**
 * An algorithm that keeps survivors of all trials: when as many trials have ended as a generation has, whoever proposed them, those that
 * survive of them and of the survivors before are chosen; where there are twice as many or more, generation by generation. Children are made
 * by `child`.
 */
export function surviving(method: string, options: GeneticOptions, selection: Selection): Sampler<State> {
  const count = options.population ?? 30
  return {
    name: method,
    severalObjectives: true,
    propose(view, { random, state }) {
      const { space, objectives } = view
      const fits = state?.method === method && state.taken <= view.ended.length
      const kept = survived(fits ? state : { method, taken: 0, population: [] }, view, count, selection, random)
      const trials = trialsOf(view, kept.population)
      let genome: Genome = randomGenome(space, random)
      if (trials.length > 0) {
        const parent = selection.parents(trials, objectives.length, random)
        genome = child(space, genomeOf(space, parent()), genomeOf(space, parent()), options, random)
      }
      return { kind: 'trial', point: pointOf(space, genome), note: { genome }, ...(kept !== state && { state: kept }) }
    },
  }
}

/** The trials of numbers, as far as they are seen. */
export function trialsOf(view: View, numbers: readonly number[]): SeenTrial[] {
  return numbers.flatMap((number) => view.trial(number) ?? [])
}

function survived(state: State, view: View, count: number, { survive }: Selection, random: Random): State {
  let { taken, population } = state
  for (let left = view.ended.length - taken; left >= count; left = view.ended.length - taken) {
    // Of thousands that came at once a generation at a time: fronts take time and memory with the square of the trials in them.
    const next = left < 2 * count ? left : count
    const trials = [...trialsOf(view, population), ...view.ended.slice(taken, taken + next)]
    population = survive(trials, count, view.objectives.length, random).map(({ number }) => number)
    taken += next
  }
  return taken === state.taken ? state : { ...state, taken, population }
}

/** A child by simulated binary crossover and polynomial mutation. */
export function child(space: Space, a: Genome, b: Genome, options: GeneticOptions, random: Random): number[] {
  const { crossover = 0.9, crossoverIndex = 5, mutationIndex = 10 } = options
  const crossed = random.uniform() < crossover ? binaryCrossover(space, a, b, crossoverIndex, random) : a
  return polynomialMutation(space, crossed, mutationIndex, 1 / space.dimensions.length, random)
}

/** Checks the options of a genetic algorithm; throws RangeError as `wholeFrom` does. */
export function checkGenetic(method: string, options: GeneticOptions): GeneticOptions {
  const { population, crossover, crossoverIndex, mutationIndex } = options
  if (population !== undefined) wholeFrom(method, 'population', population, 2)
  if (crossover !== undefined && !(crossover >= 0 && crossover <= 1)) {
    throw new RangeError(`${method}: crossover must be from 0 to 1, not ${crossover}`)
  }
  for (const [name, value] of Object.entries({ crossoverIndex, mutationIndex })) {
    if (value !== undefined && !(value >= 0 && value < Infinity)) {
      throw new RangeError(`${method}: ${name} must be a number from 0, not ${value}`)
    }
  }
  return options
}

/** Fills survivors front by front; the front that does not fit whole is left to `choose`, which gives so many of its rows. */
export function byFronts(
  fronts: readonly (readonly number[])[],
  count: number,
  choose: (front: readonly number[], count: number, before: readonly number[]) => readonly number[],
): number[] {
  const kept: number[] = []
  for (const front of fronts) {
    const room = count - kept.length
    if (room <= 0) break
    kept.push(...(front.length <= room ? front : choose(front, room, [...kept])))
  }
  return kept
}
