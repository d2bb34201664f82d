import { wholeFrom } from '../check.ts'
import { type SeenTrial, type View, violation } from '../study/view.ts'
import { directionsUpTo } from './parts/directions.ts'
import { genomeOf, pointOf, randomGenome } from './parts/genome.ts'
import { checkGenetic, child, type GeneticOptions } from './parts/several-objectives.ts'
import type { Sampler } from './sampler.ts'

/** Options of `moeaD`. */
export interface MoeaDOptions extends GeneticOptions {
  /** How many problems of similar weights exchange trials. Default: 10. */
  readonly neighbors?: number
}

type State = {
  readonly method: string
  readonly taken: number
  /** The smallest finite loss of each objective; `null` before there is one. */
  readonly ideal: readonly (number | null)[]
  /** The trial of each problem. */
  readonly population: readonly (number | null)[]
}

/** As many neighbours as a child may replace, so that the population stays diverse (Li and Zhang 2009, MOEA/D-DE). */
const replacements = 2

/**
 * MOEA/D: one problem for each weight vector, the largest weighted distance from the ideal point (Tchebycheff), solved together: parents are
 * of similar weights, and a child takes the place of what it is better than there (Zhang and Li 2007, MOEA/D: A Multiobjective Evolutionary
 * Algorithm Based on Decomposition, IEEE Transactions on Evolutionary Computation 11). A replacement takes place as soon as a trial has
 * ended. What violates constraints more is worse.
 *
 * @throws RangeError for neighbors or a population below 2, a crossover outside of [0, 1] and an index below 0
 */
export function moeaD(options: MoeaDOptions = {}): Sampler<State> {
  const method = 'moeaD'
  const { population = 30, neighbors = 10 } = checkGenetic(method, options) as MoeaDOptions
  wholeFrom(method, 'neighbors', neighbors, 2)
  return {
    name: method,
    severalObjectives: true,
    propose(view, { number, random, state }) {
      const { space, objectives } = view
      const weights = weightsOf(objectives.length, population)
      const fits = state?.method === method && state.taken <= view.ended.length
      const empty = { method, taken: 0, ideal: objectives.map(() => null), population: weights.map(() => null) }
      const kept = replaced(fits ? state : empty, view, weights, neighbors)
      const problem = number % weights.length
      const near = nearestTo(weights, problem, neighbors).flatMap((index) => {
        const trial = kept.population[index]
        return trial === null || trial === undefined ? [] : (view.trial(trial) ?? [])
      })
      const isFull = kept.population.every((each) => each !== null)
      const genome =
        isFull && near.length > 0
          ? child(space, genomeOf(space, random.pick(near)), genomeOf(space, random.pick(near)), options, random)
          : randomGenome(space, random)
      const note = { genome, problem }
      return { kind: 'trial', point: pointOf(space, genome), note, ...(kept !== state && { state: kept }) }
    },
  }
}

function weightsOf(objectives: number, count: number): readonly (readonly number[])[] {
  // With one objective all problems are the same.
  return objectives === 1 ? Array.from({ length: count }, () => [1]) : directionsUpTo(objectives, count)
}

/** The problems of the most similar weights, the problem itself first. */
function nearestTo(weights: readonly (readonly number[])[], problem: number, count: number): number[] {
  const distance = (index: number) =>
    Math.hypot(...weights[index]!.map((value, objective) => value - weights[problem]![objective]!))
  const distances = weights.map((_, index) => distance(index))
  return weights
    .map((_, index) => index)
    .sort((a, b) => distances[a]! - distances[b]! || Number(b === problem) - Number(a === problem) || a - b)
    .slice(0, count)
}

function replaced(state: State, view: View, weights: readonly (readonly number[])[], neighbors: number): State {
  if (state.taken === view.ended.length) return state
  const ideal = [...state.ideal]
  const population = [...state.population]
  const fresh = view.ended.slice(state.taken)
  for (const { losses, state: end } of fresh) {
    if (end !== 'complete') continue
    for (const [objective, loss] of losses!.entries()) {
      if (Number.isFinite(loss)) ideal[objective] = Math.min(ideal[objective] ?? Infinity, loss)
    }
  }
  for (const trial of fresh) {
    const { problem = trial.number % weights.length } = (trial.note ?? {}) as { problem?: number }
    if (!(problem < weights.length)) continue
    let left = replacements
    const empty = population.indexOf(null)
    if (empty >= 0) {
      population[population[problem] === null ? problem : empty] = trial.number
      continue
    }
    for (const index of nearestTo(weights, problem, neighbors)) {
      const before = view.trial(population[index]!)
      if (before && !isBetter(trial, before, weights[index]!, ideal)) continue
      population[index] = trial.number
      if (--left === 0) break
    }
  }
  return { ...state, taken: view.ended.length, ideal, population }
}

function isBetter(
  trial: SeenTrial,
  other: SeenTrial,
  weights: readonly number[],
  ideal: readonly (number | null)[],
): boolean {
  const [mine, others] = [tchebycheff(trial, weights, ideal), tchebycheff(other, weights, ideal)]
  const ends = [mine, others].filter((value) => value === Infinity).length
  if (ends === 1) return others === Infinity
  const difference = violation(trial) - violation(other)
  return difference === 0 ? mine < others : difference < 0
}

/** `max_i w_i |f_i - z_i|`, with a little weight where it is 0. */
export function tchebycheff(
  { losses, state }: Pick<SeenTrial, 'losses' | 'state'>,
  weights: readonly number[],
  ideal: readonly (number | null)[],
): number {
  if (state !== 'complete' || losses === null) return Infinity
  return Math.max(
    ...weights.map((weight, objective) => Math.max(1e-6, weight) * (losses[objective]! - (ideal[objective] ?? 0))),
  )
}
