import { positiveUpTo, wholeFrom } from '../check.ts'
import type { Axis } from './parts/axes.ts'
import {
  type Adaptation,
  beginAdaptation,
  defaultPopulation,
  deviations,
  sampleAdaptation,
  updateAdaptation,
} from './parts/covariance-adaptation.ts'
import { generational, type Scored } from './parts/generations.ts'
import { withMargin } from './parts/margin.ts'

/** Options of `cmaEs`. */
export interface CmaEsOptions {
  /** Points of a generation. Default: `4 + floor(3 ln n)` for n numbers. */
  readonly population?: number
  /** Deviation at the start, in coordinates from 0 to 1. Default: 0.3. */
  readonly sigma?: number
  /** `separable` learns the diagonal alone, in time and memory linear in n. Default: `full`. */
  readonly covariance?: 'full' | 'separable'
  /** Adapts the learning rates to noise and to many optima (Nomura, Akimoto, Ono 2023, arXiv 2304.03473). Default: no. */
  readonly adaptRates?: boolean
  /**
   * Begins again elsewhere when nothing is gained any more: `ipop` with twice the population each time (Auger and Hansen 2005, A Restart
   * CMA Evolution Strategy with Increasing Population Size), `bipop` with large and small populations by turns of equal budgets (Hansen
   * 2009, Benchmarking a BI-Population CMA-ES on the BBOB-2009 Function Testbed). Default: `none`.
   */
  readonly restarts?: 'none' | 'ipop' | 'bipop'
}

type State = {
  readonly adaptation: Adaptation
  /** Smallest losses of the last generations of this run. */
  readonly history: readonly number[]
  readonly first: number
  /** Large runs that have begun after the first. */
  readonly large: number
  readonly isSmall: boolean
  /** Points spent by large and by small runs. */
  readonly spent: readonly [large: number, small: number]
}

/**
 * CMA-ES: a normal distribution whose mean, step size and covariance learn from ranks (Hansen 2016, The CMA Evolution Strategy: A Tutorial,
 * arXiv 1604.00772). Integers and numbers with a step keep a least probability of the values beside the mean (CMA-ES with margin, Hamano,
 * Saito, Nomura, Shirakawa 2022, arXiv 2205.13482); choices are drawn from probabilities of their own.
 *
 * @throws RangeError for a population below 2, and for a sigma that is not above 0 and at most 1
 */
export function cmaEs(options: CmaEsOptions = {}) {
  const { covariance = 'full', adaptRates = false, restarts = 'none' } = options
  const sigma = positiveUpTo('cmaEs', 'sigma', options.sigma ?? 0.3, 1)
  if (options.population !== undefined) wholeFrom('cmaEs', 'population', options.population, 2)
  const begin = (mean: readonly number[], deviation: number, population: number) =>
    beginAdaptation({ mean, sigma: deviation, population, kind: covariance, adaptRates })
  return generational<State>('cmaEs', {
    begin(axes) {
      const first = options.population ?? defaultPopulation(axes.length)
      const mean = axes.map(() => 0.5)
      return { adaptation: begin(mean, sigma, first), history: [], first, large: 0, isSmall: false, spent: [0, 0] }
    },
    population: ({ adaptation }) => adaptation.population,
    sample: ({ adaptation }, random) => sampleAdaptation(adaptation, random),
    update(state, points, axes, random) {
      const adaptation = withMargins(updateAdaptation(state.adaptation, samplesOf(points)), axes)
      const { population } = adaptation
      const history = [...state.history, points[0]!.loss].slice(-historyLength(axes.length, population))
      const spent = [
        state.spent[0] + (state.isSmall ? 0 : population),
        state.spent[1] + (state.isSmall ? population : 0),
      ] as const
      const next = { ...state, adaptation, history, spent }
      if (restarts === 'none' || !hasConverged(adaptation, history, points, sigma)) return next
      const large = 2 ** (state.large + 1) * state.first
      const isSmall = restarts === 'bipop' && state.large > 0 && spent[1] < spent[0]
      const scale = random.uniform()
      const small = Math.max(2, Math.floor(state.first * (large / 4 / state.first) ** (scale * scale)))
      return {
        ...next,
        adaptation: begin(
          axes.map(() => random.uniform()),
          isSmall ? sigma * 10 ** (-2 * random.uniform()) : sigma,
          isSmall ? small : large,
        ),
        history: [],
        large: state.large + (isSmall ? 0 : 1),
        isSmall,
      }
    },
  })
}

function samplesOf(points: readonly Scored[]): (readonly number[])[] {
  return points.map(({ sample }) => sample)
}

function historyLength(n: number, population: number): number {
  return 10 + Math.ceil((30 * n) / population)
}

/** The stopping rules of the tutorial: TolHistFun, TolX, ConditionCov and equal values. */
function hasConverged(
  adaptation: Adaptation,
  history: readonly number[],
  points: readonly Scored[],
  sigma: number,
): boolean {
  const { lengths, mean, population } = adaptation
  const losses = [...history, ...points.map(({ loss }) => loss)].filter(Number.isFinite)
  const isFull = history.length === historyLength(mean.length, population)
  if (isFull && Math.max(...losses) - Math.min(...losses) <= 1e-12 * Math.max(1, Math.abs(losses[0] ?? 0))) return true
  const largest = Math.max(...lengths, ...adaptation.covariancePath.map(Math.abs))
  if (adaptation.sigma * largest < 1e-8 * sigma) return true
  return Math.max(...lengths) > 1e7 * Math.min(...lengths)
}

function withMargins(adaptation: Adaptation, axes: readonly Axis[]): Adaptation {
  if (axes.every(({ part }) => part === null)) return adaptation
  const { sigma, population } = adaptation
  const alpha = 1 / (axes.length * population)
  const mean = [...adaptation.mean]
  const stretch = [...adaptation.stretch]
  for (const [axis, deviation] of deviations(adaptation).entries()) {
    const { part } = axes[axis]!
    if (part === null) continue
    const [center, width] = withMargin(mean[axis]!, sigma * stretch[axis]! * deviation, part(mean[axis]!), alpha)
    mean[axis] = center
    stretch[axis] = width / (sigma * deviation)
  }
  return { ...adaptation, mean, stretch }
}
