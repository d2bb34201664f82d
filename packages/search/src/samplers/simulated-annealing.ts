import { positiveUpTo } from '../check.ts'
import type { Random } from '../random.ts'
import type { View } from '../study/view.ts'
import { violation } from '../study/view.ts'
import { genomeOf, isChoice, pointOf, randomGenome, reflected } from './parts/genome.ts'
import { lossOf } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `simulatedAnnealing`. */
export interface SimulatedAnnealingOptions {
  /** At the start, in deviations of the losses seen. Default: 1. */
  readonly temperature?: number
  /** What the temperature is multiplied by after a trial, up to 1. Default: 0.97. */
  readonly cooling?: number
}

type State = {
  readonly method: string
  readonly taken: number
  readonly temperature: number
  readonly current: number | null
}

/**
 * Simulated annealing: a neighbour is accepted when it is better, and otherwise with probability `exp(-increase / temperature)`, the
 * increase in deviations of the losses that have been seen (Kirkpatrick, Gelatt, Vecchi 1983, Optimization by Simulated Annealing, Science
 * 220). Neighbours differ in each dimension with probability 1 / n and in one for sure; steps shrink with the square root of the
 * temperature, from a deviation of 0.3 to 0.02.
 *
 * @throws RangeError for a temperature that is not above 0, and a cooling outside of (0, 1]
 */
export function simulatedAnnealing(options: SimulatedAnnealingOptions = {}): Sampler<State> {
  const method = 'simulatedAnnealing'
  const hot = positiveUpTo(method, 'temperature', options.temperature ?? 1, Infinity)
  const cooling = positiveUpTo(method, 'cooling', options.cooling ?? 0.97, 1)
  return {
    name: method,
    propose(view, { random, state }) {
      const { space } = view
      const fits = state?.method === method && state.taken <= view.ended.length
      const kept = annealed(fits ? state : { method, taken: 0, temperature: hot, current: null }, view, cooling, random)
      const current = kept.current === null ? undefined : view.trial(kept.current)
      let genome = randomGenome(space, random)
      if (current) {
        const here = genomeOf(space, current)
        const sure = random.integer(0, here.length - 1)
        const deviation = Math.max(0.02, 0.3 * Math.sqrt(Math.min(1, kept.temperature / hot)))
        genome = here.map((gene, index) => {
          if (index !== sure && random.uniform() >= 1 / here.length) return gene
          return isChoice(space, index) ? random.uniform() : reflected(gene + deviation * random.normal())
        })
      }
      return { kind: 'trial', point: pointOf(space, genome), note: { genome }, ...(kept !== state && { state: kept }) }
    },
  }
}

function annealed(state: State, view: View, cooling: number, random: Random): State {
  if (state.taken === view.ended.length) return state
  const finite = view.ended.map(lossOf).filter(Number.isFinite)
  const mean = finite.reduce((sum, loss) => sum + loss, 0) / finite.length
  const deviation = Math.sqrt(finite.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / finite.length)
  let { temperature, current } = state
  for (const trial of view.ended.slice(state.taken)) {
    const before = current === null ? undefined : view.trial(current)
    const loss = lossOf(trial)
    const worse = before ? violation(trial) - violation(before) : 0
    const increase = before ? loss - lossOf(before) : -Infinity
    const isAccepted =
      loss < Infinity &&
      (worse < 0 ||
        (worse === 0 && (!(increase > 0) || random.uniform() < Math.exp(-increase / (temperature * deviation)))))
    if (isAccepted) current = trial.number
    temperature *= cooling
  }
  return { ...state, taken: view.ended.length, temperature: Math.max(1e-300, temperature), current }
}
