import { positiveUpTo } from '../check.ts'
import type { Random } from '../random.ts'
import { size } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import type { View } from '../study/view.ts'
import { type Genome, genomeOf, pointOf, randomGenome, reflected } from './parts/genome.ts'
import { compare } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `hookeJeeves`. */
export interface HookeJeevesOptions {
  /** How far it steps at the start, in coordinates from 0 to 1. Default: 0.25. */
  readonly step?: number
}

type State = {
  readonly method: string
  readonly taken: number
  /** Trial of the base; `null` until it has ended. */
  readonly base: number | null
  /** Trial where the exploration is. */
  readonly here: number | null
  readonly step: number
  /** What is tried next, or is being tried, and how: exploring moves in one dimension, a pattern moves on as the base did. */
  readonly stage: 'start' | 'explore' | 'pattern'
  readonly probe: Genome
  readonly dimension: number
  readonly sign: 1 | -1
  /** Counts what is tried, so that each trial belongs to one. */
  readonly turn: number
}

/** A step below which the search begins again elsewhere. */
const smallest = 1e-8

/**
 * The pattern search of Hooke and Jeeves (1961, "Direct Search" Solution of Numerical and Statistical Problems, Journal of the ACM 8): steps
 * up and down in one dimension after the other, keeps those that gain, and then moves once more as far as all of them together went. Where
 * nothing gains the step is halved, and when it is nothing any more the search begins again at a random point.
 *
 * Choices and numbers with a step move by at least one value, and rest once the step is less than half of one. It goes one trial at a time:
 * what is asked for besides draws points near, which the search does not follow.
 *
 * @throws RangeError for a step that is not above 0 and at most 1
 */
export function hookeJeeves({ step = 0.25 }: HookeJeevesOptions = {}): Sampler<State> {
  const method = 'hookeJeeves'
  positiveUpTo(method, 'step', step, 1)
  return {
    name: method,
    propose(view, { random, state }) {
      const { space } = view
      const fits = state?.method === method && state.taken <= view.ended.length
      const kept = advanced(
        fits ? state : started({ method, taken: 0, turn: 0 }, space, step, random),
        view,
        step,
        random,
      )
      const isBusy = view.open.some(({ note }) => (note as { turn?: number | null } | null)?.turn === kept.turn)
      const genome = isBusy ? near(kept, random) : kept.probe
      const note = { genome, turn: isBusy ? null : kept.turn }
      return { kind: 'trial', point: pointOf(space, genome), note, ...(kept !== state && { state: kept }) }
    },
  }
}

/** A search that begins at a random point, allowed if one of a hundred is. */
function started(state: Pick<State, 'method' | 'taken' | 'turn'>, space: Space, step: number, random: Random): State {
  let probe = randomGenome(space, random)
  for (let draw = 1; draw < 100 && !isAllowed(space, probe); draw++) probe = randomGenome(space, random)
  return { ...state, base: null, here: null, step, stage: 'start', probe, dimension: 0, sign: 1, turn: state.turn + 1 }
}

const isAllowed = (space: Space, genome: Genome) => space.violated(pointOf(space, genome)) === null

function near({ probe, step }: State, random: Random): number[] {
  return probe.map((gene) => reflected(gene + step * random.normal()))
}

/** Follows the trials that have ended. */
function advanced(state: State, view: View, step: number, random: Random): State {
  if (state.taken === view.ended.length) return state
  let next = state
  for (const trial of view.ended.slice(state.taken)) {
    if ((trial.note as { turn?: number | null } | null)?.turn === next.turn)
      next = followed(next, view, trial.number, step, random)
  }
  return { ...next, taken: view.ended.length }
}

function followed(state: State, view: View, trial: number, step: number, random: Random): State {
  if (state.stage === 'start')
    return explored({ ...state, base: trial, here: trial, dimension: 0, sign: 1 }, view, step, random)
  if (state.stage === 'pattern') return explored({ ...state, here: trial, dimension: 0, sign: 1 }, view, step, random)
  if (isBetter(view, trial, state.here!)) {
    return explored({ ...state, here: trial, dimension: state.dimension + 1, sign: 1 }, view, step, random)
  }
  return explored(after(state), view, step, random)
}

function isBetter(view: View, a: number, b: number): boolean {
  return compare(view.trial(a)!, view.trial(b)!) < 0 && a !== b
}

/** The exploring move after one that gained nothing. */
function after({ dimension, sign, ...state }: State): State {
  return sign === 1 ? { ...state, dimension, sign: -1 } : { ...state, dimension: dimension + 1, sign: 1 }
}

/** Goes on to the next move that can be made. */
function explored(from: State, view: View, step: number, random: Random): State {
  const { space } = view
  let state = from
  for (;;) {
    const genome = genomeOf(space, view.trial(state.here!)!)
    for (; state.dimension < space.dimensions.length; state = after(state)) {
      const probe = movedAlong(space, genome, state)
      if (probe !== null && isAllowed(space, probe)) return { ...state, stage: 'explore', probe, turn: state.turn + 1 }
    }
    const again = { dimension: 0, sign: 1 } as const
    if (isBetter(view, state.here!, state.base!)) {
      const base = genomeOf(space, view.trial(state.base!)!)
      const probe = genome.map((gene, dimension) => reflected(2 * gene - base[dimension]!))
      state = { ...state, ...again, base: state.here }
      if (isAllowed(space, probe)) return { ...state, stage: 'pattern', probe, turn: state.turn + 1 }
    } else if (state.here !== state.base) state = { ...state, ...again, here: state.base }
    else if (state.step / 2 < smallest) return started(state, space, step, random)
    else state = { ...state, ...again, step: state.step / 2 }
  }
}

/** A genome one step further in a dimension; `null` where there is nothing further, or nothing that counts. */
function movedAlong(space: Space, genome: Genome, { dimension, sign, step }: State): Genome | null {
  const { domain } = space.dimensions[dimension]!
  const count = size(domain)
  if (count === 1 || 2 * step * count < 1 || !space.exists(dimension, pointOf(space, genome))) return null
  const gene = genome[dimension]!
  const moved = gene + sign * Math.max(step, 1 / count)
  // Choices have no ends; two of them have no two directions.
  if (domain.kind === 'choice' && count === 2 && sign === -1) return null
  const bounded = domain.kind === 'choice' ? moved - Math.floor(moved) : Math.min(1, Math.max(0, moved))
  return bounded === gene ? null : genome.map((other, index) => (index === dimension ? bounded : other))
}
