import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import { logExpectedPart, logNormalCumulative } from '../statistics/normal.ts'
import { type SeenTrial, violation } from '../study/view.ts'
import { bestTrials } from './parts/best-trials.ts'
import { fitHyperparameters, GaussianProcess, type Prediction } from './parts/gaussian-process.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** How the Gaussian process works. */
export interface GaussianProcessOptions {
  /** Complete trials before which points are drawn evenly. Default: 8. */
  readonly startup?: number
  /** Trials that the process is fitted to at most: half of them the best, half the newest. Default: 150. */
  readonly largest?: number
  /** What a proposal has most of: expected improvement, or information about the smallest loss. Default: `logExpectedImprovement`. */
  readonly acquisition?: 'logExpectedImprovement' | 'entropySearch'
}

/**
 * Logarithm of the expected improvement of a normal prediction below `best` (Ament et al. 2023, Unexpected Improvements to Expected
 * Improvement for Bayesian Optimization, arXiv 2310.20708): log(s (z Phi(z) + phi(z))) with z = (best - mean) / s. It stays finite where
 * the expected improvement itself is too small for a number.
 */
export function logExpectedImprovement({ mean, variance }: Prediction, best: number): number {
  const deviation = Math.sqrt(variance)
  return logExpectedPart((best - mean) / deviation) + Math.log(deviation)
}

/**
 * How much the entropy of a normal prediction falls when the smallest loss is known, on average over samples of it (Wang and Jegelka 2017,
 * Max-value Entropy Search for Efficient Bayesian Optimization, equation 6, for a minimum): the mean of
 * g phi(g) / (2 Phi(g)) - log Phi(g) with g = (mean - smallest) / s.
 */
export function entropyReduction({ mean, variance }: Prediction, smallest: readonly number[]): number {
  const deviation = Math.sqrt(variance)
  return (
    smallest.reduce((sum, value) => {
      const g = (mean - value) / deviation
      const logAbove = logNormalCumulative(g)
      return sum + (g * Math.exp(-(g * g) / 2 - logAbove)) / (2 * Math.sqrt(2 * Math.PI)) - logAbove
    }, 0) / smallest.length
  )
}

/**
 * Bayesian optimization with a Gaussian process: Matern's kernel of smoothness 5/2 with a length for each dimension, choices one-hot,
 * hyperparameters by maximum of the marginal likelihood with weak priors; proposes the largest logarithm of the expected improvement
 * (Ament et al. 2023, arXiv 2310.20708), plus the logarithm of the probability that each constraint on the outcome is met, modelled by a
 * process of its own (Gardner et al. 2014, Bayesian Optimization with Inequality Constraints). While nothing is feasible, that probability
 * alone counts.
 *
 * Losses are put in units of their standard deviation, after those far above the median have been cut: they say where not to look, and
 * not how far away. Open trials are taken to turn out as predicted (kriging believer, Ginsbourger et al. 2010). Trials that were stopped
 * count with their last report, but not as better than the median of the complete ones; failed ones with the largest loss.
 *
 * @throws RangeError for options out of their range
 */
export function gaussianProcess({
  startup = 8,
  largest = 150,
  acquisition = 'logExpectedImprovement',
}: GaussianProcessOptions = {}): Sampler<null> {
  for (const [name, value] of Object.entries({ startup, largest })) {
    wholeFrom('gaussianProcess', name, value, 2)
  }
  if (acquisition !== 'logExpectedImprovement' && acquisition !== 'entropySearch') {
    throw new RangeError(
      `gaussianProcess: acquisition must be 'logExpectedImprovement' or 'entropySearch', not '${String(acquisition)}'`,
    )
  }
  const first = randomSearch()
  return {
    name: 'gaussianProcess',
    propose(view, request) {
      const { space, ended, open } = view
      const complete = ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) return first.propose(view, request)
      const chosen = worthFitting(ended, largest)
      const believed = open.slice(0, largest).map(({ point }) => point)
      const losses = standardized(lossesOf(chosen))
      const { model: objective, guesses } = modelOf(space, chosen, losses, believed)
      const names = Math.max(...complete.map(({ violations }) => violations.length))
      const constraints = Array.from({ length: names }, (_, index) => {
        const measured = chosen.filter(({ state, violations }) => state === 'complete' && violations.length > index)
        const { values, shift } = scaledConstraint(measured.map(({ violations }) => violations[index]!))
        return { ...modelOf(space, measured, values, believed), shift }
      })
      const isFeasible = chosen.map((trial) => trial.state === 'complete' && violation(trial) === 0)
      const hopes = guesses.filter((_, index) => constraints.every((each) => each.guesses[index]! <= each.shift))
      const best = Math.min(...losses.filter((_, index) => isFeasible[index]), ...hopes)
      const around = bestTrials(chosen, 5, 1).map(({ point }) => point)
      const logGain =
        acquisition === 'entropySearch'
          ? logInformation(space, objective, around, request.random)
          : (prediction: Prediction) => logExpectedImprovement(prediction, best)
      const score = (point: Point) => {
        let sum = best === Infinity ? 0 : logGain(objective.predict(point))
        for (const { model, shift } of constraints) {
          const { mean, variance } = model.predict(point)
          sum += logNormalCumulative((shift - mean) / Math.sqrt(variance))
        }
        return sum
      }
      return { kind: 'trial', point: largestPoint(space, score, around, request.random) }
    },
  }
}

/** All trials that say something, or half the best and half the newest of them. */
function worthFitting(ended: readonly SeenTrial[], largest: number): readonly SeenTrial[] {
  const told = ended.filter(
    ({ state, reports }) => state === 'complete' || state === 'failed' || (state === 'pruned' && reports.length > 0),
  )
  if (told.length <= largest) return told
  const kept = new Set([...bestTrials(told, largest >> 1, 1)])
  for (const trial of told.toReversed()) if (kept.size < largest) kept.add(trial)
  return told.filter((trial) => kept.has(trial))
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => (a === b ? 0 : a - b))
  return sorted[(sorted.length - 1) >> 1]!
}

function lossesOf(trials: readonly SeenTrial[]): number[] {
  const middle = medianOf(trials.flatMap(({ state, losses }) => (state === 'complete' ? [losses![0]!] : [])))
  return trials.map(({ state, losses, reports }) => {
    if (state === 'complete') return losses![0]!
    const value = state === 'pruned' ? reports.at(-1)!.value : Infinity
    return Number.isNaN(value) ? Infinity : Math.max(value, middle)
  })
}

/** Losses with a mean of 0 and a variance of 1, in the same order. Infinite ones, and those far above the median, are cut. */
function standardized(losses: readonly number[]): number[] {
  const finite = losses.filter(Number.isFinite)
  if (finite.length === 0) return losses.map((loss) => (loss > 0 ? 1 : -1))
  const [least, middle] = [Math.min(...finite), medianOf(finite)]
  const cut = middle > least ? middle + 2 * (middle - least) : Math.max(...finite)
  const lowest = least - (cut - least)
  return scaledBy(losses.map((loss) => Math.min(cut, Math.max(lowest, loss)))).values
}

/** Values of a constraint in units of their deviation; `shift` is where its bound of 0 stands among them. */
function scaledConstraint(given: readonly number[]): { values: number[]; shift: number } {
  const finite = given.filter(Number.isFinite)
  const extent = Math.max(1, ...finite.map(Math.abs))
  const { values, scale, mean } = scaledBy(given.map((value) => Math.min(extent, Math.max(-extent, value))))
  return { values, shift: -mean / scale }
}

function scaledBy(values: readonly number[]): { values: number[]; scale: number; mean: number } {
  // Divided first, so that numbers near the largest possible do not overflow.
  const size = Math.max(...values.map(Math.abs), Number.MIN_VALUE)
  const mean = size * (values.reduce((sum, value) => sum + value / size, 0) / values.length)
  const deviation =
    Math.sqrt(values.reduce((sum, value) => sum + ((value - mean) / size) ** 2, 0) / values.length) * size
  const scale = deviation > 0 ? deviation : size
  return { values: values.map((value) => (value - mean) / scale), scale, mean }
}

function modelOf(
  space: Space,
  trials: readonly SeenTrial[],
  targets: readonly number[],
  believed: readonly Point[],
): { model: GaussianProcess; guesses: readonly number[] } {
  const points = trials.map(({ point }) => point)
  const hyperparameters = fitHyperparameters(space, points, targets)
  const model = new GaussianProcess(space, points, targets, hyperparameters)
  if (believed.length === 0) return { model, guesses: [] }
  const guesses = believed.map((point) => model.predict(point).mean)
  const extended = new GaussianProcess(space, [...points, ...believed], [...targets, ...guesses], hyperparameters)
  return { model: extended, guesses }
}

const minima = 20
const minimumPlaces = 150

/** The smallest losses are those of functions drawn from the process (Wang and Jegelka 2017, section 3.2), here at many points. */
function logInformation(
  space: Space,
  model: GaussianProcess,
  around: readonly Point[],
  random: Random,
): (prediction: Prediction) => number {
  const even = Array.from({ length: minimumPlaces }, () => space.fromCube(space.dimensions.map(() => random.uniform())))
  const near = around.flatMap((point) =>
    Array.from({ length: 10 }, () => moved(space, point, 10 ** (-1 - 2 * random.uniform()), random)),
  )
  const sample = model.sampler([...even, ...around, ...near])
  const smallest = Array.from({ length: minima }, () => Math.min(...sample(random)))
  return (prediction) => Math.log(entropyReduction(prediction, smallest))
}

const evenDraws = 500
const nearDraws = 50
const polished = 4
const polishing = 80

/** The best of many points, the best few of which are first moved a little while that helps. */
function largestPoint(
  space: Space,
  acquisition: (point: Point) => number,
  around: readonly Point[],
  random: Random,
): Point {
  const rate = (point: Point) => ({ point, value: acquisition(point) })
  const even = Array.from({ length: evenDraws }, () => space.fromCube(space.dimensions.map(() => random.uniform())))
  const near = around.flatMap((point) =>
    Array.from({ length: nearDraws }, () => moved(space, point, 10 ** (-3 * random.uniform()), random)),
  )
  const rated = [...even, ...near].map(rate).sort((a, b) => (a.value === b.value ? 0 : b.value - a.value))
  const found = rated.slice(0, polished).map((start) => {
    let best = start
    let radius = 0.1
    for (let step = 0; step < polishing; step++) {
      const next = rate(moved(space, best.point, radius, random))
      const isBetter = next.value > best.value
      if (isBetter) best = next
      radius = Math.max(1e-5, radius * (isBetter ? 1.5 : 0.85))
    }
    return best
  })
  return found.reduce((a, b) => (b.value > a.value ? b : a)).point
}

/** A point nearby: numbers move by normal steps, one choice in as many as there are dimensions is drawn anew. */
function moved(space: Space, point: Point, radius: number, random: Random): Point {
  const fresh = space.dimensions.map(({ domain }, index) => {
    if (domain.kind === 'choice') {
      const isKept = point[index] !== null && random.uniform() * space.dimensions.length > 1
      return isKept ? point[index]! : random.integer(0, domain.values.length - 1)
    }
    const coordinate = point[index] ?? null
    return coordinate === null ? random.uniform() : coordinate + radius * random.normal()
  })
  return space.settle(fresh)
}
