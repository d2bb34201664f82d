import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Parameters } from '../space/space.ts'
import { signOf, type View } from '../study/view.ts'
import {
  type Acquisition,
  checkAcquisition,
  entropyReduction,
  logKnowledgeGradient,
  manyPoints,
} from './gaussian-process.ts'
import { checkProcess, evenly, type Learned, learn, moved, type ProcessOptions, untried } from './parts/bayesian.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** How ColaBO works, and what is believed. */
export interface ColaboOptions extends ProcessOptions {
  /** How likely the best point is to have these parameters, up to a factor. Default: nothing is believed. */
  readonly location?: (parameters: Parameters) => number
  /** How likely the best value is to be this one, up to a factor, in the unit of the objective. Default: nothing is believed. */
  readonly value?: (value: number) => number
  /** What a proposal has most of, as in `gaussianProcess`. Default: `logExpectedImprovement`. */
  readonly acquisition?: Acquisition
  /** How many functions are drawn from the process. Default: 128. */
  readonly paths?: number
}

/** Functions drawn from a process at given points, each with its weight. */
export interface WeightedPaths {
  /** `[paths][points]`. */
  readonly values: readonly (readonly number[])[]
  /** They add up to 1. */
  readonly weights: readonly number[]
}

/**
 * ColaBO: Bayesian optimization that collaborates with a user's beliefs about where the best point is, or how good it is (Hvarfner, Hutter
 * and Nardi 2024, A General Framework for User-Guided Bayesian Optimization, arXiv 2311.14645). Functions are drawn from the Gaussian process
 * of what has been observed, and weighted by how likely the belief makes their minimum: p(f | data, belief) ~ p(f | data) belief(f). The
 * acquisition is computed from the weighted functions; what is believed and observed not to be so loses its weight, as no function drawn has
 * its minimum there any more.
 *
 * Functions are drawn jointly at some hundred points of which one is proposed: even ones, and ones near the best trials and near those of
 * many even ones that are believed in most. While nothing is believed in at all the functions weigh the same. Points before there are
 * trials enough are drawn by the belief too: the one of 32 even ones, each as likely as it is believed to be best. Constraints on the
 * outcome, open trials and those without a result count as in `gaussianProcess`.
 *
 * @throws RangeError for options out of their range, and for beliefs that are negative or no number
 */
export function colabo({
  location,
  value,
  acquisition = 'logExpectedImprovement',
  paths = 128,
  ...options
}: ColaboOptions = {}): Sampler<null> {
  const { startup, largest } = checkProcess('colabo', options)
  checkAcquisition('colabo', acquisition)
  wholeFrom('colabo', 'paths', paths, 2)
  const isThere = (view: View, point: Point) =>
    location === undefined ? 1 : believed('location', location(view.space.parameters(point)))
  return {
    name: 'colabo',
    propose(view, request) {
      const { random } = request
      const complete = view.ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) {
        if (location === undefined) return randomSearch().propose(view, request)
        const even = evenly(view.space, firsts, random)
        return {
          kind: 'trial',
          point:
            even[
              drawn(
                even.map((point) => isThere(view, point)),
                random,
              )
            ]!,
        }
      }
      const learned = learn(view, largest)
      const points = candidates(learned, location && ((point) => isThere(view, point)), random)
      const sign = signOf(view.objectives[0]!.direction)
      const likelihood = (place: number, loss: number) =>
        isThere(view, points[place]!) *
        (value === undefined ? 1 : believed('value', value(sign * learned.lossAt(loss))))
      const sample = learned.model.sampler(points)
      const values = Array.from({ length: paths }, () => sample(random))
      const gain = gains(weighted(values, likelihood), learned, acquisition)
      const mayTry = untried(view)
      const scores = points.map((point, index) => {
        if (!mayTry(point)) return -Infinity
        return (learned.best === Infinity ? 0 : gain(index)) + learned.logFeasible(point)
      })
      return { kind: 'trial', point: points[scores.indexOf(Math.max(...scores))]! }
    },
  }
}

const firsts = 32

/** Points of which one is proposed; where something is believed, more of them are where it is. */
function candidates(learned: Learned, isThere: ((point: Point) => number) | undefined, random: Random): Point[] {
  const points = manyPoints(learned, 100, 10, random)
  if (isThere === undefined) return points
  const even = evenly(learned.space, 1000, random)
  const likely = even.map(isThere)
  const centers = Array.from({ length: 30 }, () => even[drawn(likely, random)]!)
  return [...points, ...centers, ...centers.map((point) => moved(learned.space, point, 0.03, random))]
}

/** An index, as likely as a belief says; each as likely as any other where nothing is believed in. */
function drawn(likelihoods: readonly number[], random: Random): number {
  const largest = Math.max(...likelihoods)
  return random.weighted(likelihoods.map((likelihood) => (largest > 0 ? likelihood / largest : 1)))
}

function believed(name: string, likelihood: number): number {
  if (likelihood >= 0 && likelihood < Infinity) return likelihood
  throw new RangeError(`colabo: ${name} must give a number from 0, not ${likelihood}`)
}

/**
 * Weighs functions by the likelihood of their smallest value.
 *
 * @param values `[paths][points]`
 * @param likelihood of a minimum at the point of an index, with a value
 */
export function weighted(
  values: readonly (readonly number[])[],
  likelihood: (place: number, value: number) => number,
): WeightedPaths {
  const likelihoods = values.map((path) => {
    const smallest = Math.min(...path)
    return likelihood(path.indexOf(smallest), smallest)
  })
  const largest = Math.max(...likelihoods)
  const scaled = likelihoods.map((each) => (largest > 0 ? each / largest : 1))
  const sum = scaled.reduce((total, weight) => total + weight, 0)
  return { values, weights: scaled.map((weight) => weight / sum) }
}

/** The logarithm of what a proposal has at the point of an index. */
function gains({ values, weights }: WeightedPaths, { best, model }: Learned, acquisition: Acquisition) {
  const expected = (of: (path: readonly number[]) => number) =>
    values.reduce((sum, path, index) => sum + weights[index]! * of(path), 0)
  if (acquisition === 'logExpectedImprovement') {
    return (point: number) => Math.log(expected((path) => Math.max(0, best - path[point]!)))
  }
  const means = values[0]!.map((_, point) => expected((path) => path[point]!))
  const covariance = (a: number, b: number) => expected((path) => (path[a]! - means[a]!) * (path[b]! - means[b]!))
  if (acquisition === 'entropySearch') {
    const smallest = values.map((path) => Math.min(...path))
    return (point: number) => {
      const prediction = { mean: means[point]!, variance: Math.max(1e-12, covariance(point, point)) }
      return Math.log(
        smallest.reduce((sum, value, path) => sum + weights[path]! * entropyReduction(prediction, [value]), 0),
      )
    }
  }
  const among = means
    .map((_, point) => point)
    .sort((a, b) => means[a]! - means[b]!)
    .slice(0, 50)
  return (point: number) => {
    const deviation = Math.sqrt(covariance(point, point) + model.noise)
    const all = [...among, point]
    return logKnowledgeGradient(
      all.map((each) => means[each]!),
      all.map((each) => covariance(each, point) / deviation),
    )
  }
}
