import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial } from '../study/view.ts'
import { bestTrials } from './parts/best-trials.ts'
import { Parzen } from './parts/parzen.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** How the tree-structured Parzen estimator works. */
export interface TpeOptions {
  /** Trials with a result before which points are drawn evenly. Default: 6. */
  readonly startup?: number
  /** How many points are drawn from the good density, of which the one with the largest ratio is taken. Default: 64. */
  readonly candidates?: number
  /** Share of the trials with a result that is good, 25 at most. Default: 0.2. */
  readonly goodShare?: number
  /** Whether kernels are over all dimensions together, or each dimension is chosen by itself. Default: together. */
  readonly multivariate?: boolean
}

const largestGood = 25

/**
 * Kernels of the bad density. Of more trials as many are taken, evenly over the time in which they ended, so that a proposal costs the
 * same after 1,000 trials and after 10,000 but for one look at each trial's loss.
 */
const largestBad = 500

/** Bad trials of which each counts fully; those before count less the older they are. */
const recent = 25

/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Watanabe 2023, Tree-Structured
 * Parzen Estimator, arXiv 2304.11127): densities l of the points of good trials and g of all others are estimated, and of points drawn
 * from l the one with the largest l / g is proposed.
 *
 * With n trials, the ceil(0.2 n) best are good, and the one of rank i among k weighs log(k + 1/2) - log(i), as in the recombination of
 * evolution strategies; with several objectives all weigh the same. The standard deviation of kernels over d dimensions is
 * h (k + 1)^(-1 / (d + 4)), at least 1 / min(100, k + 2), with h = 0.1 for l and 0.2 for g. Trials that have not ended count as bad, so that
 * workers do not try the same (the constant liar), and so do those that failed. How trials that were stopped, violate constraints or
 * have several objectives are ordered says `bestTrials`. In a space with finitely many points those not tried are preferred.
 *
 * @throws RangeError for options out of their range
 */
export function tpe({
  startup = 6,
  candidates = 64,
  goodShare = 0.2,
  multivariate = true,
}: TpeOptions = {}): Sampler<null> {
  for (const [name, value] of Object.entries({ startup, candidates })) {
    wholeFrom('tpe', name, value, 1)
  }
  if (!(goodShare > 0 && goodShare < 1))
    throw new RangeError(`tpe: goodShare must be between 0 and 1, not ${goodShare}`)
  const first = randomSearch()
  return {
    name: 'tpe',
    severalObjectives: true,
    propose(view, request) {
      const { space, ended, open, objectives } = view
      const told = ended.reduce((sum, { state }) => sum + (state === 'complete' || state === 'pruned' ? 1 : 0), 0)
      if (told < startup) return first.propose(view, request)
      const known = ended.concat(open)
      const good = bestTrials(known, Math.min(largestGood, Math.ceil(goodShare * told)), objectives.length)
      const isGood = new Set(good)
      const bad = evenly(
        known.filter((trial) => !isGood.has(trial)),
        largestBad,
      )
      const goodWeights = good.map((_, rank) =>
        objectives.length > 1 ? 1 : Math.log(good.length + 0.5) - Math.log(rank + 1),
      )
      const densities = (dimensions: readonly number[]) =>
        [
          density(space, dimensions, good, scaled(goodWeights), 0.1),
          density(space, dimensions, bad, agedWeights(bad.length), 0.2),
        ] as const
      const all = [...space.dimensions.keys()]
      const tried = space.size === Infinity ? new Set<string>() : new Set(known.map(({ point }) => point.join()))
      if (multivariate) {
        return { kind: 'trial', point: promising(space, densities(all), [], candidates, request.random, tried) }
      }
      let point: Point = []
      for (const index of all) {
        point = space.exists(index, point)
          ? promising(space, densities([index]), point, candidates, request.random, new Set())
          : [...point, null]
      }
      return { kind: 'trial', point }
    },
  }
}

/** So many of the items, as far from each other as can be; the last is among them. */
function evenly<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items
  return Array.from({ length: count }, (_, index) => items[Math.ceil(((index + 1) * items.length) / count) - 1]!)
}

/** Weights with a mean of 1. */
function scaled(weights: readonly number[]): number[] {
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length
  return weights.map((weight) => weight / mean)
}

/** Rising from 1 / count to 1, which the most recent ones have. */
function agedWeights(count: number): number[] {
  return Array.from({ length: count }, (_, index) =>
    index >= count - recent ? 1 : 1 / count + ((1 - 1 / count) * index) / (count - recent),
  )
}

function density(
  space: Space,
  dimensions: readonly number[],
  trials: readonly SeenTrial[],
  weights: readonly number[],
  width: number,
): Parzen {
  const chosen = trials.flatMap((trial, index) =>
    dimensions.length > 1 || trial.point[dimensions[0]!] !== null ? [index] : [],
  )
  const count = chosen.length
  return new Parzen({
    space,
    dimensions,
    points: chosen.map((index) => trials[index]!.point),
    weights: chosen.map((index) => weights[index]!),
    priorWeight: 1,
    bandwidth: Math.max(width * (count + 1) ** (-1 / (dimensions.length + 4)), 1 / Math.min(100, count + 2)),
  })
}

/** Of points drawn from the good density the one with the largest ratio; those tried come last. */
function promising(
  space: Space,
  [good, bad]: readonly [Parzen, Parzen],
  given: Point,
  candidates: number,
  random: Random,
  tried: ReadonlySet<string>,
): Point {
  const drawn = Array.from({ length: candidates }, () => space.settle(good.sample(random, given)))
  const fresh = drawn.filter((point) => !tried.has(point.join()))
  let chosen: Point | undefined
  let largest = -Infinity
  for (const point of fresh.length > 0 ? fresh : drawn) {
    const ratio = good.logDensity(point) - bad.logDensity(point)
    if (chosen !== undefined && !(ratio > largest)) continue
    chosen = point
    largest = ratio
  }
  return chosen!
}
