import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import { float } from '../space/domain.ts'
import { spaceOf } from '../space/space.ts'
import { type SeenTrial, type View, violation } from '../study/view.ts'
import { knowledgeGradientOf, logExpectedImprovement } from './gaussian-process.ts'
import { checkProcess, evenly, modelOf, moved, type ProcessOptions, standardized, untried } from './parts/bayesian.ts'
import { bestTrials } from './parts/best-trials.ts'
import { checkEta, levelsOf } from './parts/rungs.ts'
import type { Proposal, Sampler } from './sampler.ts'

/** How the process of several fidelities works. */
export interface MultiFidelityOptions extends ProcessOptions {
  /** The ratio of one amount of the resource to the next smaller one. Default: 3. */
  readonly eta?: number
}

/** What may be done next: a new trial or one that goes on, up to a level. */
interface Option {
  readonly point: Point
  readonly level: number
  readonly from: number
  readonly trial: number | null
}

/**
 * Bayesian optimization over several fidelities (Frazier 2018, A Tutorial on Bayesian Optimization, arXiv 1807.02811, section 5; Wu,
 * Toscano-Palmerin, Frazier and Wilson 2019, Practical Multi-fidelity Bayesian Optimization for Hyperparameter Tuning, arXiv 1903.04703): one
 * Gaussian process over points and the resource that they have used. A proposal is a point with an amount of the resource, or a paused
 * trial that goes on, whichever has the largest knowledge gradient for what it costs: how far the smallest mean at the whole resource is
 * expected to fall, divided by the resource.
 *
 * A study counts what is complete, so while less than a quarter of its trials have gone to the end, a proposal goes there: the point or
 * the paused trial with the largest expected improvement per cost. Trials that failed, and those that violate constraints on the outcome,
 * count with the largest loss where they were going. Trials that run are taken to turn out as predicted.
 *
 * @throws RangeError for options out of their range
 */
export function multiFidelity({ eta = 3, ...options }: MultiFidelityOptions = {}): Sampler<null> {
  const { startup, largest } = checkProcess('multiFidelity', options)
  checkEta('multiFidelity', eta)
  return {
    name: 'multiFidelity',
    needsResource: true,
    propose(view, { random }) {
      const resource = view.resource!
      const levels = levelsOf(resource, eta)
      const trials = [...view.ended, ...view.open]
      const observed = trials.flatMap((trial) => observationsOf(trial, resource.maximum)).slice(-largest)
      if (trials.length < startup || observed.length < 2) {
        const level = levels.at(-1 - (trials.length % levels.length))!
        return proposalOf({ point: evenly(view.space, 1, random)[0]!, level, from: 0, trial: null })
      }
      const amount = {
        name: 'resource',
        domain: float(resource.minimum, resource.maximum, { scale: 'log' }).domain,
        condition: null,
      }
      const whole = spaceOf({ dimensions: [...view.space.dimensions, amount], constraints: [] })
      const range = Math.log(resource.maximum / resource.minimum)
      const at = (point: Point, step: number): Point => [
        ...point,
        range > 0 ? Math.min(1, Math.max(0, Math.log(step / resource.minimum) / range)) : 0.5,
      ]
      const losses = standardized(observed.map(({ loss }) => loss)).values
      const places = observed.map(({ point, step }) => at(point, step))
      const running = view.open.filter(({ state }) => state !== 'paused')
      const believed = running.map(({ point, until }) => at(point, until ?? resource.maximum))
      const { model } = modelOf(whole, places, losses, believed)

      const around = bestTrials(trials, 5, 1).map(({ point }) => point)
      const ends = trials.filter(({ state, until }) => isEnding(state, until, resource.maximum)).length
      const isDue = 4 * ends < trials.length
      const best = Math.min(...losses.filter((_, index) => observed[index]!.step === resource.maximum))
      const toTry = pointsToTry(view, around, random)
      const gradient = isDue
        ? (place: Point) =>
            best === Infinity ? -model.predict(place).mean : logExpectedImprovement(model.predict(place), best)
        : knowledgeGradientOf(
            model,
            [...toTry.slice(0, 40), ...around].map((point) => at(point, resource.maximum)),
          )
      const paused = view.open.filter(({ state }) => state === 'paused')
      const possible = (isDue ? levels.slice(-1) : levels).flatMap((level): Option[] => [
        ...toTry.map((point) => ({ point, level, from: 0, trial: null })),
        ...paused
          .filter(({ until }) => until! < level)
          .map(({ point, number, until }) => ({ point, level, from: until!, trial: number })),
      ])
      let chosen = possible[0]!
      let largestScore = -Infinity
      for (const option of possible) {
        const score = gradient(at(option.point, option.level)) - Math.log(option.level - option.from)
        if (score <= largestScore) continue
        chosen = option
        largestScore = score
      }
      return proposalOf(chosen)
    },
  }
}

function proposalOf({ point, level, trial }: Option): Proposal<null> {
  return trial === null ? { kind: 'trial', point, until: level } : { kind: 'continue', trial, until: level }
}

function isEnding(state: SeenTrial['state'], until: number | null, maximum: number): boolean {
  if (state === 'complete') return true
  return (state === 'running' || state === 'waiting') && (until === null || until >= maximum)
}

/** What a trial says: a loss at each amount of the resource after which it was judged, and at the last of its reports. */
function observationsOf(trial: SeenTrial, maximum: number): { point: Point; step: number; loss: number }[] {
  const { point, state, losses, until, reports } = trial
  const last = reports.at(-1)
  if (state === 'failed') return [{ point, step: until ?? maximum, loss: Infinity }]
  if (state === 'complete' || state === 'paused') {
    const loss = violation(trial) > 0 ? Infinity : losses![0]!
    return [
      { point, step: state === 'complete' ? maximum : (until ?? maximum), loss },
      ...reports.slice(0, -1).flatMap(judged),
    ]
  }
  return last && !Number.isNaN(last.value) ? [{ point, step: last.step, loss: last.value }] : []

  /** Of many reports those at powers of two say nearly as much as all. */
  function judged({ step, value }: { step: number; value: number }, index: number) {
    const isPower = Number.isInteger(Math.log2(index + 1))
    return isPower && !Number.isNaN(value) ? [{ point, step, loss: value }] : []
  }
}

/** Points all over the space and near the best trials, of which one is proposed. */
function pointsToTry(view: View, around: readonly Point[], random: Random): Point[] {
  const { space } = view
  const near = around.flatMap((point) =>
    Array.from({ length: 10 }, () => moved(space, point, 10 ** (-3 * random.uniform()), random)),
  )
  const points = [...evenly(space, 60, random), ...near]
  const allowed = points.filter(untried(view))
  return allowed.length > 0 ? allowed : points
}
