import type { Random } from '../random.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial, View } from '../study/view.ts'
import { type Genome, genomeOf, isChoice, pointOf, randomGenome, reflected } from './parts/genome.ts'
import { compare, lossOf, ranked } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

type Stage = 'reflect' | 'expand' | 'contract' | 'shrink'

type State = {
  readonly method: string
  readonly taken: number
  /** Trials of the corners. */
  readonly simplex: readonly number[]
  /** What is tried next, or is being tried. */
  readonly stage: Stage
  /** The reflected trial while expansion or contraction is tried. */
  readonly reflected: number | null
  /** Counts stages, so that each trial belongs to one. */
  readonly turn: number
}

/**
 * The simplex of Nelder and Mead (1965, A Simplex Method for Function Minimization, The Computer Journal 7), with coefficients that depend on
 * the dimension (Gao and Han 2012, Implementing the Nelder-Mead simplex algorithm with adaptive parameters). The worst corner is mirrored,
 * and further or nearer points are tried by what that gives. It goes one trial at a time: what is asked for besides draws points near the
 * best corner, which do not enter the simplex. Choices follow the best corner, and are drawn anew in one of ten
 * trials.
 */
export function nelderMead(): Sampler<State> {
  const method = 'nelderMead'
  return {
    name: method,
    propose(view, { random, state }) {
      const { space } = view
      const fits = state?.method === method && state.taken <= view.ended.length
      const empty: State = { method, taken: 0, simplex: [], stage: 'reflect', reflected: null, turn: 0 }
      const kept = advanced(fits ? state : empty, view)
      const isBusy = view.open.some(({ note }) => (note as { turn?: number | null } | null)?.turn === kept.turn)
      const trials = kept.simplex.map((number) => view.trial(number)!)
      const isReady = trials.length > space.dimensions.length
      const free = isReady && !isBusy
      const genome = !isReady
        ? firstOf(space, trials, random)
        : free
          ? candidate(space, kept, view, random)
          : near(space, trials, random)
      const point = pointOf(space, genome)
      return {
        kind: 'trial',
        point,
        note: { genome, turn: free ? kept.turn : null },
        ...(kept !== state && { state: kept }),
      }
    },
  }
}

/** `1`, `1 + 2 / n`, `3 / 4 - 1 / (2 n)` and `1 - 1 / n`. */
function coefficients(n: number) {
  return n < 2
    ? { expand: 2, contract: 0.5, shrink: 0.5 }
    : { expand: 1 + 2 / n, contract: 0.75 - 1 / (2 * n), shrink: 1 - 1 / n }
}

function firstOf(space: Space, trials: readonly SeenTrial[], random: Random): Genome {
  const first = ranked(trials)[0]
  if (!first) return randomGenome(space, random)
  return genomeOf(space, first).map((gene) => {
    const moved = gene + (random.uniform() < 0.5 ? -1 : 1) * 0.25 * random.uniform()
    return moved < 0 || moved > 1 ? 2 * gene - moved : moved
  })
}

function near(space: Space, trials: readonly SeenTrial[], random: Random): Genome {
  const genomes = trials.map((trial) => genomeOf(space, trial))
  const best = genomeOf(space, ranked(trials)[0]!)
  return best.map((gene, dimension) => {
    const genes = genomes.map((genome) => genome[dimension]!)
    const range = Math.max(...genes) - Math.min(...genes)
    return Math.min(1, Math.max(0, gene + (range / 2) * random.normal()))
  })
}

/** The next point of the method. */
function candidate(space: Space, { stage, simplex, reflected: number }: State, view: View, random: Random): Genome {
  const corners = ranked(simplex.map((number) => view.trial(number)!))
  const genomes = corners.map((trial) => genomeOf(space, trial))
  const n = space.dimensions.length
  const { expand, contract, shrink } = coefficients(n)
  const [best, worst] = [genomes[0]!, genomes.at(-1)!]
  const other = number === null ? undefined : view.trial(number)
  const draws = random.uniform() < 0.1
  return best.map((gene, dimension) => {
    if (isChoice(space, dimension)) return draws ? random.uniform() : gene
    const center = genomes.slice(0, -1).reduce((sum, genome) => sum + genome[dimension]!, 0) / (genomes.length - 1)
    const away = center - worst[dimension]!
    const isOutside = other !== undefined && compare(other, corners.at(-1)!) < 0
    const value =
      stage === 'shrink'
        ? gene + shrink * (worst[dimension]! - gene)
        : center + { reflect: 1, expand, contract: isOutside ? contract : -contract }[stage] * away
    // A corner that was put to the bound would flatten the simplex.
    return reflected(value)
  })
}

/** Takes in what has ended: trials of the method move it on. Others would flatten the simplex and are left out of it. */
function advanced(state: State, view: View): State {
  if (state.taken === view.ended.length) return state
  let next: State = state
  const corners = view.space.dimensions.length + 1
  for (const trial of view.ended.slice(state.taken)) {
    const { turn = null } = (trial.note ?? {}) as { turn?: number | null }
    const sorted = ranked(next.simplex.map((number) => view.trial(number)!))
    if (sorted.length < corners) next = { ...next, simplex: [...next.simplex, trial.number] }
    else if (turn === next.turn) next = moved(next, view, sorted, trial)
  }
  return { ...next, taken: view.ended.length }
}

function replaced(sorted: readonly SeenTrial[], trial: SeenTrial): number[] {
  return [...sorted.slice(0, -1).map(({ number }) => number), trial.number]
}

function moved(state: State, view: View, sorted: readonly SeenTrial[], trial: SeenTrial): State {
  const [best, second, worst] = [sorted[0]!, sorted.at(-2)!, sorted.at(-1)!]
  const before = state.reflected === null ? undefined : view.trial(state.reflected)
  const settled = (chosen: SeenTrial): State => ({
    ...state,
    simplex: replaced(sorted, chosen),
    stage: 'reflect',
    reflected: null,
    turn: state.turn + 1,
  })
  const go = (stage: Stage): State => ({ ...state, stage, reflected: trial.number, turn: state.turn + 1 })
  if (state.stage === 'reflect') {
    if (compare(trial, best) < 0) return go('expand')
    return compare(trial, second) < 0 ? settled(trial) : go('contract')
  }
  if (state.stage === 'expand') return settled(before && compare(before, trial) < 0 ? before : trial)
  if (state.stage === 'contract') {
    if (compare(trial, before && compare(before, worst) < 0 ? before : worst) < 0) return settled(trial)
    return { ...state, stage: 'shrink', reflected: null, turn: state.turn + 1 }
  }
  return settled(lossOf(trial) < Infinity ? trial : worst)
}
