import type { Json } from '../json.ts'
import { type Random, random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial, View } from '../study/view.ts'
import { hyperbandBrackets } from './parts/hyperband.ts'
import { advance, bracketsOf, checkEta, levelsOf, lossNow, type Rung, seenByLevel } from './parts/rungs.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** Options of `dehb`. */
export interface DehbOptions {
  /** As in Hyperband. Default: 3. */
  readonly eta?: number
  /** By how much differences of points are multiplied. Default: 0.5. */
  readonly scale?: number
  /** Chance that a coordinate is the mutant's. Default: 0.5. */
  readonly crossover?: number
}

/** A point of a population as a vector of a cube, and its loss. */
interface Individual {
  readonly vector: readonly number[]
  readonly loss: number
}

/** What is noted with a trial after the first bracket. */
interface Offspring {
  readonly level: number
  /** Whose place it takes in the population of its level if it is not worse. */
  readonly target: number
}

/**
 * DEHB (Awad, Mallik and Hutter 2021, DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter Optimization, arXiv
 * 2105.09821): every level of the resource has a population, and differential evolution (rand/1/bin; Storn and Price 1997) makes the
 * trials of Hyperband's brackets. Mutants at the first rung of a bracket come from the population of its level, at later rungs from the
 * best of the level below, as many as the rung has places. An offspring takes the place of its target if it is not worse.
 * Populations have at least 10 places; in the paper they can be smaller at the highest levels.
 *
 * The first bracket is successive halving from random points, and it alone continues trials and waits for its rungs. Coordinates outside
 * of their range are drawn anew.
 *
 * @throws RangeError for eta that is not a whole number from 2, a scale that is not above 0 and a crossover that is not from 0 to 1
 */
export function dehb({ eta = 3, scale = 0.5, crossover = 0.5 }: DehbOptions = {}): Sampler<null> {
  checkEta('dehb', eta)
  if (!(scale > 0)) throw new RangeError(`dehb: scale must be above 0, not ${scale}`)
  if (!(crossover >= 0 && crossover <= 1)) throw new RangeError(`dehb: crossover must be from 0 to 1, not ${crossover}`)
  return {
    name: 'dehb',
    needsResource: true,
    async propose(view, request) {
      const levels = levelsOf(view.resource!, eta)
      const brackets = hyperbandBrackets(levels, eta, 'journal')
      const step = advance(0, bracketsOf(view).get(0) ?? [], brackets[0]!, true)
      if (step.kind === 'continue' || step.kind === 'wait') return step
      if (step.kind === 'new') {
        const proposal = await randomSearch().propose(view, request)
        return {
          ...proposal,
          until: step.until,
          note: { bracket: 0, first: 0, losses: [], inner: null },
        } as typeof proposal
      }
      const offspring = [...view.ended, ...view.open].filter((trial) => offspringOf(trial) !== null)
      const { first, rung } = jobAt(offspring.length, brackets)
      const level = first + rung
      const populations = populationsOf(view, levels, brackets, offspring)
      const population = populations[level]!
      const target = offspring.filter((trial) => offspringOf(trial)!.level === level).length % population.length
      const parents = rung === 0 ? population : best(populations[level - 1]!, brackets[first]![rung]!.count)
      const mutant = mutate(withThree(parents, populations.flat(), request.random), scale, request.random)
      const note: Offspring = { level, target }
      const vector = cross(population[target]!.vector, mutant, crossover, request.random)
      return { kind: 'trial', point: view.space.fromCube(vector), until: levels[level]!, note: note as unknown as Json }
    },
  }
}

function offspringOf({ note }: SeenTrial): Offspring | null {
  return note !== null && typeof note === 'object' && 'target' in note ? (note as unknown as Offspring) : null
}

/** Which bracket and rung the trial of a number belongs to: brackets follow each other from the second on, and begin anew. */
function jobAt(number: number, brackets: readonly (readonly Rung[])[]): { first: number; rung: number } {
  let left = number
  for (let turn = 1; ; turn++) {
    const first = turn % brackets.length
    for (const [rung, { count }] of brackets[first]!.entries()) {
      if (left < count) return { first, rung }
      left -= count
    }
  }
}

/** Individuals of the smallest population: fewer become alike before they have found anything. */
const least = 10

/** The population of every level: as many as the widest rung there has places, 10 at least, and random ones where nothing has been seen. */
function populationsOf(
  view: View,
  levels: readonly number[],
  brackets: readonly (readonly Rung[])[],
  offspring: readonly SeenTrial[],
): Individual[][] {
  const { space, seed } = view
  // What was noted as offspring has no rungs, so what is left is the first bracket, and trials that were enqueued.
  const halved = seenByLevel({ ...view, ended: without(view.ended), open: without(view.open) }, levels.length)
  const populations = levels.map((_, level) => {
    const size = Math.max(least, ...brackets.map((rungs, first) => rungs[level - first]?.count ?? 0))
    const seen = [...halved[level]!].sort((a, b) => a.loss - b.loss || a.trial.number - b.trial.number).slice(0, size)
    const source = random(seed, `dehb ${level}`)
    return Array.from({ length: size }, (_, index): Individual => {
      const vector = space.dimensions.map(() => source.uniform())
      const entry = seen[index]
      return entry
        ? { vector: vectorOf(space, entry.trial.point, vector), loss: entry.loss }
        : { vector, loss: Infinity }
    })
  })
  for (const trial of [...offspring].sort((a, b) => a.number - b.number)) {
    if (trial.state !== 'paused' && trial.state !== 'complete') continue
    const { level, target } = offspringOf(trial)!
    const holder = populations[level]![target]!
    const loss = lossNow(trial)
    if (loss <= holder.loss) populations[level]![target] = { vector: vectorOf(space, trial.point, holder.vector), loss }
  }
  return populations
}

function without(trials: readonly SeenTrial[]): readonly SeenTrial[] {
  return trials.filter((trial) => offspringOf(trial) === null)
}

/** A point in the cube; dimensions that do not exist are taken from another vector. */
function vectorOf({ dimensions }: Space, point: Point, other: readonly number[]): readonly number[] {
  return dimensions.map(({ domain }, index) => {
    const coordinate = point[index]
    if (coordinate === null || coordinate === undefined) return other[index]!
    return domain.kind === 'choice' ? (coordinate + 0.5) / domain.values.length : coordinate
  })
}

function best(population: readonly Individual[], count: number): readonly Individual[] {
  return [...population].sort((a, b) => (a.loss === b.loss ? 0 : a.loss - b.loss)).slice(0, count)
}

/** Three parents in random order; where there are fewer, with others of all levels. */
function withThree(parents: readonly Individual[], all: readonly Individual[], source: Random): readonly Individual[] {
  const chosen = source.shuffle(parents).slice(0, 3)
  while (chosen.length < 3) chosen.push(source.pick(all))
  return chosen
}

function mutate([a, b, c]: readonly Individual[], scale: number, source: Random): readonly number[] {
  return a!.vector.map((coordinate, index) => {
    const moved = coordinate + scale * (b!.vector[index]! - c!.vector[index]!)
    return moved >= 0 && moved < 1 ? moved : source.uniform()
  })
}

function cross(
  target: readonly number[],
  mutant: readonly number[],
  chance: number,
  source: Random,
): readonly number[] {
  const always = source.integer(0, target.length - 1)
  return target.map((coordinate, index) =>
    index === always || source.uniform() < chance ? mutant[index]! : coordinate,
  )
}
