import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import { logExpectedPart, logNormalCumulative } from '../statistics/normal.ts'
import { bayesian, evenly, type Learned, moved, type ProcessOptions } from './parts/bayesian.ts'
import type { GaussianProcess, Prediction } from './parts/gaussian-process.ts'
import type { Sampler } from './sampler.ts'

/** What a proposal of `gaussianProcess` can have most of. */
const acquisitions = ['logExpectedImprovement', 'entropySearch', 'knowledgeGradient'] as const

export type Acquisition = (typeof acquisitions)[number]

/** @throws RangeError for a name that no acquisition has */
export function checkAcquisition(owner: string, acquisition: Acquisition): void {
  if (acquisitions.includes(acquisition)) return
  const known = acquisitions.map((name) => `'${name}'`).join(' or ')
  throw new RangeError(`${owner}: acquisition must be ${known}, not '${String(acquisition)}'`)
}

/** How the Gaussian process works. */
export interface GaussianProcessOptions extends ProcessOptions {
  /**
   * What a proposal has most of: expected improvement, information about the smallest loss, or how far the smallest mean of the process
   * is expected to fall, which counts where trials are noisy. Default: `logExpectedImprovement`.
   */
  readonly acquisition?: Acquisition
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
 * Logarithm of how far the smallest of several means is expected to fall when an observation moves each by its slope times one standard
 * normal variable: min(means) - E[min(means + slopes Z)], by the lines that are smallest somewhere (Frazier, Powell and Dayanik 2009, The
 * Knowledge-Gradient Policy for Correlated Normal Beliefs, algorithm 1). -Infinity where no observation would change which is smallest.
 */
export function logKnowledgeGradient(means: readonly number[], slopes: readonly number[]): number {
  const order = means.map((_, index) => index)
  order.sort((a, b) => slopes[b]! - slopes[a]! || means[a]! - means[b]!)
  // Lines that are smallest somewhere, from the left to the right, and where each begins to be.
  const lines: number[] = []
  const starts: number[] = []
  for (const line of order) {
    if (lines.length > 0 && slopes[lines.at(-1)!] === slopes[line]) continue
    let start = -Infinity
    while (lines.length > 0) {
      const last = lines.at(-1)!
      start = (means[line]! - means[last]!) / (slopes[last]! - slopes[line]!)
      if (start > starts.at(-1)!) break
      lines.pop()
      starts.pop()
      start = -Infinity
    }
    lines.push(line)
    starts.push(start)
  }
  const parts = lines.slice(1).map((line, index) => {
    const turn = Math.log(slopes[lines[index]!]! - slopes[line]!)
    return turn + logExpectedPart(-Math.abs(starts[index + 1]!))
  })
  const largest = Math.max(...parts)
  return largest === -Infinity
    ? largest
    : largest + Math.log(parts.reduce((sum, part) => sum + Math.exp(part - largest), 0))
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
  acquisition = 'logExpectedImprovement',
  ...options
}: GaussianProcessOptions = {}): Sampler<null> {
  checkAcquisition('gaussianProcess', acquisition)
  return bayesian('gaussianProcess', options, (learned, random) => {
    const { model, best } = learned
    if (acquisition === 'entropySearch') return logInformation(learned, random)
    if (acquisition === 'knowledgeGradient') return logFall(learned, random)
    return (point) => logExpectedImprovement(model.predict(point), best)
  })
}

const minima = 20

/** Points all over the space, the best trials, and points near them. */
export function manyPoints({ space, around }: Learned, count: number, near: number, random: Random): Point[] {
  const even = evenly(space, count, random)
  const nearer = around.flatMap((point) =>
    Array.from({ length: near }, () => moved(space, point, 10 ** (-1 - 2 * random.uniform()), random)),
  )
  return [...even, ...around, ...nearer]
}

/** The smallest losses are those of functions drawn from the process (Wang and Jegelka 2017, section 3.2), here at many points. */
function logInformation(learned: Learned, random: Random): (point: Point) => number {
  const sample = learned.model.sampler(manyPoints(learned, 150, 10, random))
  const smallest = Array.from({ length: minima }, () => Math.min(...sample(random)))
  return (point) => Math.log(entropyReduction(learned.model.predict(point), smallest))
}

/** How far the smallest mean falls, of many points that are likely feasible and of the one that is observed. */
function logFall(learned: Learned, random: Random): (point: Point) => number {
  const { model, logFeasible } = learned
  const many = manyPoints(learned, 60, 4, random)
  const feasible = many.filter((point) => logFeasible(point) >= Math.log(0.5))
  return knowledgeGradientOf(model, feasible.length > 0 ? feasible : many)
}

/** The logarithm of the knowledge gradient of an observation at a point, by the means at given points and at that one. */
export function knowledgeGradientOf(model: GaussianProcess, among: readonly Point[]): (point: Point) => number {
  const means = among.map((point) => model.predict(point).mean)
  const at = model.jointly(among)
  return (point) => {
    const { mean, variance, covariances } = at(point)
    const deviation = Math.sqrt(variance + model.noise)
    const slopes = Array.from(covariances, (covariance) => covariance / deviation)
    return logKnowledgeGradient([...means, mean], [...slopes, variance / deviation])
  }
}
