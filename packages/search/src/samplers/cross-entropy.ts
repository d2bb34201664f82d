import { positiveUpTo, wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import { generational } from './parts/generations.ts'

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Points of a generation. Default: 20. */
  readonly population?: number
  /** The share of a generation that the distribution is fitted to. Default: 0.25. */
  readonly elite?: number
  /** Normal distributions in the mixture. Default: 1. */
  readonly components?: number
  /** How far the distribution moves to the fitted one, up to 1. Default: 0.8. */
  readonly smoothing?: number
}

/** A mixture of normal distributions with diagonal covariances: `weights[k]`, `means[k][n]`, `deviations[k][n]`. */
export type Mixture = {
  readonly weights: readonly number[]
  readonly means: readonly (readonly number[])[]
  readonly deviations: readonly (readonly number[])[]
}

/** Deviations stay above this, so that later generations still move. */
const leastDeviation = 1e-4

/**
 * The cross-entropy method: draws a generation, and fits a mixture of normal distributions to its elite by expectation maximisation, which
 * minimises the cross entropy (Rubinstein and Kroese 2004, The Cross-Entropy Method; as CEHPO for the settings of a stochastic optimizer in
 * Cross-Entropy Optimization for Hyperparameter Optimization in Stochastic Gradient-based Approaches to Train Deep Neural Networks).
 *
 * @throws RangeError for a population below 2, components below 1, and an elite or a smoothing outside of (0, 1]
 */
export function crossEntropy(options: CrossEntropyOptions = {}) {
  const population = wholeFrom('crossEntropy', 'population', options.population ?? 20, 2)
  const components = wholeFrom('crossEntropy', 'components', options.components ?? 1, 1)
  const elite = Math.max(2, Math.round(positiveUpTo('crossEntropy', 'elite', options.elite ?? 0.25, 1) * population))
  const smoothing = positiveUpTo('crossEntropy', 'smoothing', options.smoothing ?? 0.8, 1)
  return generational<Mixture>('crossEntropy', {
    begin: (axes, random) => ({
      weights: new Array<number>(components).fill(1 / components),
      means: Array.from({ length: components }, () => axes.map(() => (components === 1 ? 0.5 : random.uniform()))),
      deviations: Array.from({ length: components }, () => axes.map(() => 0.3)),
    }),
    population: () => population,
    sample: drawn,
    update(state, points) {
      const chosen = points.slice(0, elite).filter(({ loss }) => loss < Infinity)
      return fitted(
        state,
        chosen.map(({ sample }) => sample),
        smoothing,
      )
    },
  })
}

function drawn({ weights, means, deviations }: Mixture, random: Random): number[] {
  const component = random.weighted(weights)
  return means[component]!.map((mean, axis) => mean + deviations[component]![axis]! * random.normal())
}

/**
 * The mixture that is more likely for points than the one before, after ten steps of expectation maximisation; of one component, the mean
 * and the deviation of the points.
 *
 * @param points `[count][n]`
 * @param smoothing 1 gives the fitted one, less a place between
 */
export function fitted(before: Mixture, points: readonly (readonly number[])[], smoothing: number): Mixture {
  let mixture = before
  for (let turn = 0; turn < (before.weights.length === 1 ? 1 : 10); turn++) mixture = maximised(mixture, points)
  const between = (old: number, fresh: number) => old + smoothing * (fresh - old)
  return {
    weights: before.weights.map((old, k) => between(old, mixture.weights[k]!)),
    means: before.means.map((vector, k) => vector.map((old, axis) => between(old, mixture.means[k]![axis]!))),
    deviations: before.deviations.map((vector, k) =>
      vector.map((old, axis) => between(old, mixture.deviations[k]![axis]!)),
    ),
  }
}

function maximised({ weights, means, deviations }: Mixture, points: readonly (readonly number[])[]): Mixture {
  const shares = points.map((point) => {
    const logs = weights.map((weight, k) =>
      point.reduce((sum, value, axis) => {
        const deviation = deviations[k]![axis]!
        return sum - ((value - means[k]![axis]!) / deviation) ** 2 / 2 - Math.log(deviation)
      }, Math.log(weight)),
    )
    const largest = Math.max(...logs)
    const likely = logs.map((value) => Math.exp(value - largest))
    const total = likely.reduce((sum, value) => sum + value, 0)
    return likely.map((value) => value / total)
  })
  const mass = weights.map((_, k) => shares.reduce((sum, share) => sum + share[k]!, 0))
  const average = (k: number, of: (point: readonly number[]) => number) =>
    points.reduce((sum, point, index) => sum + shares[index]![k]! * of(point), 0) / mass[k]!
  // A component without points stays where it is.
  const isEmpty = (k: number) => mass[k]! < 1e-8
  const nextMeans = means.map((vector, k) =>
    isEmpty(k) ? vector : vector.map((_, axis) => average(k, (point) => point[axis]!)),
  )
  return {
    weights: mass.map((value) => Math.max(1e-3, value / points.length)),
    means: nextMeans,
    deviations: deviations.map((vector, k) =>
      isEmpty(k)
        ? vector
        : vector.map((_, axis) =>
            Math.max(leastDeviation, Math.sqrt(average(k, (point) => (point[axis]! - nextMeans[k]![axis]!) ** 2))),
          ),
    ),
  }
}
