import { wholeFrom } from '../check.ts'
import type { View } from '../study/view.ts'
import { genomeOf, pointOf, randomGenome } from './parts/genome.ts'
import { compare } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `particleSwarm`. */
export interface ParticleSwarmOptions {
  /** How many particles. Default: 20. */
  readonly particles?: number
}

type State = {
  readonly method: string
  readonly taken: number
  /** For each particle the trial where it is, and the best that it has been at. */
  readonly last: readonly (number | null)[]
  readonly best: readonly (number | null)[]
}

/** Inertia and attraction with which swarms converge (Clerc and Kennedy 2002, The Particle Swarm). */
const [inertia, attraction] = [0.7298, 1.49618]

/**
 * Particle swarm optimization: particles keep their velocity and are drawn to the best place that they have been at, and to the best of all
 * (Kennedy and Eberhart 1995, Particle Swarm Optimization; constants of Clerc and Kennedy 2002, IEEE Transactions on Evolutionary
 * Computation 6): `v <- w v + c r1 (own - x) + c r2 (all - x)`, `x <- x + v`. A particle moves on from where it is known to be, whether or not
 * the others have moved.
 *
 * @throws RangeError for less than 1 particle
 */
export function particleSwarm(options: ParticleSwarmOptions = {}): Sampler<State> {
  const method = 'particleSwarm'
  const particles = wholeFrom(method, 'particles', options.particles ?? 20, 1)
  return {
    name: method,
    propose(view, { number, random, state }) {
      const { space } = view
      const nowhere = new Array<null>(particles).fill(null)
      const fits = state?.method === method && state.last.length === particles && state.taken <= view.ended.length
      const before: State = fits ? state : { method, taken: 0, last: nowhere, best: nowhere }
      const kept = moved(before, view, particles)
      const particle = number % particles
      const [last, own] = [kept.last[particle], kept.best[particle]].map((each) => seen(view, each ?? null))
      const all = kept.best.flatMap((each) => seen(view, each) ?? []).sort(compare)[0]
      let genome = randomGenome(space, random)
      let velocity = genome.map((gene) => (random.uniform() - gene) / 2)
      if (last && own && all) {
        const here = genomeOf(space, last)
        const { velocity: kept = here.map(() => 0) } = (last.note ?? {}) as { velocity?: readonly number[] }
        const [mine, best] = [genomeOf(space, own), genomeOf(space, all)]
        const speeds = here.map((gene, index) => {
          const pull = random.uniform() * (mine[index]! - gene) + random.uniform() * (best[index]! - gene)
          return Math.min(1, Math.max(-1, inertia * kept[index]! + attraction * pull))
        })
        genome = here.map((gene, index) => Math.min(1, Math.max(0, gene + speeds[index]!)))
        // Who runs into a bound stops there.
        velocity = speeds.map((speed, index) => (genome[index] === here[index]! + speed ? speed : 0))
      }
      return {
        kind: 'trial',
        point: pointOf(space, genome),
        note: { genome, velocity, particle },
        ...(kept !== state && { state: kept }),
      }
    },
  }
}

function seen(view: View, number: number | null) {
  return number === null ? undefined : view.trial(number)
}

function moved(state: State, view: View, particles: number): State {
  if (state.taken === view.ended.length) return state
  const [last, best] = [[...state.last], [...state.best]]
  for (const trial of view.ended.slice(state.taken)) {
    const { particle = trial.number % particles } = (trial.note ?? {}) as { particle?: number }
    if (!(particle < particles)) continue
    last[particle] = trial.number
    const record = seen(view, best[particle]!)
    if (!record || compare(trial, record) < 0) best[particle] = trial.number
  }
  return { ...state, taken: view.ended.length, last, best }
}
