import type { SeenTrial } from '../study/view.ts'
import { bracketsOf, checkEta, levelsOf, lossAt, promotion, ranked, type Step } from './parts/rungs.ts'
import { begin, inside, type ScheduleState } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import type { HalvingOptions } from './successive-halving.ts'

/** Options of `asha`. */
export interface AshaOptions extends Omit<HalvingOptions, 'rounds'> {
  /** How many trials are begun in all. Default: Infinity. */
  readonly trials?: number
}

/**
 * Asynchronous successive halving in the form that promotes (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, arXiv
 * 1810.05934): a worker continues the best trial that is among the best floor(n / eta) of the n at its rung and has not gone on, from the
 * highest rung down, or else begins a new trial at the lowest. Nobody waits.
 *
 * @throws RangeError for eta that is not a whole number from 2, and for fewer trials than 1
 */
export function asha({ eta = 3, inner = randomSearch(), trials = Infinity }: AshaOptions = {}): Sampler<ScheduleState> {
  checkEta('asha', eta)
  if (!(trials >= 1)) throw new RangeError(`asha: trials must be 1 or more, not ${trials}`)
  const source = inside(inner)
  return {
    name: 'asha',
    needsResource: true,
    async propose(view, request) {
      const levels = levelsOf(view.resource!, eta)
      const mine = bracketsOf(view).get(0) ?? []
      const step = promoted(mine, levels, eta)
      if (step.kind === 'continue') return step
      const last = () => waitOrEnd(mine, 'no trial can go on any more')
      if (mine.length >= trials) return last()
      const proposal = await begin(source, view, request, { until: levels[0]!, bracket: 0, first: 0 })
      return proposal.kind === 'end' ? last() : proposal
    },
  }
}

/** The promotion that is due, at the highest rung that has one. */
export function promoted(trials: readonly SeenTrial[], levels: readonly number[], eta: number): Step {
  for (let rung = levels.length - 2; rung >= 0; rung--) {
    const order = ranked(trials, rung)
    const best = order.slice(0, Math.floor(order.length / eta))
    const next = best.find((trial) => trial.state === 'paused' && lossAt(trial, rung + 1) === 'before')
    if (next) return promotion(next, levels[rung + 1]!)
  }
  return { kind: 'done' }
}

/** Whether trials that run may still let others go on. */
export function waitOrEnd(trials: readonly SeenTrial[], reason: string) {
  const busy = trials.filter(({ state }) => state === 'running' || state === 'waiting').length
  return busy > 0
    ? ({ kind: 'wait', reason: `${busy} trials have to end or pause before others can go on` } as const)
    : ({ kind: 'end', reason } as const)
}
