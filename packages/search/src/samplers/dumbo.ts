import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import { violation } from '../study/view.ts'
import {
  checkProcess,
  evenly,
  lossesOf,
  moved,
  type ProcessOptions,
  standardized,
  untried,
  worthFitting,
} from './parts/bayesian.ts'
import { bestTrials } from './parts/best-trials.ts'
import { matern, placesOf, squaredDistance } from './parts/gaussian-process.ts'
import { factor, inner, solveLower, solveUpper } from './parts/triangular.ts'
import type { Sampler } from './sampler.ts'

/** How DuMBO works. */
export interface DumboOptions extends ProcessOptions {
  /**
   * Names of the parameters of each factor, such as `[['a', 'b'], ['b', 'c.d']]`; factors may share parameters and be of any size.
   * Default: the likeliest of several partitions drawn at random, and of one factor with all.
   */
  readonly factors?: readonly (readonly string[])[]
  /** By how many deviations the bound of a factor is below its mean. Default: 2. */
  readonly confidence?: number
}

/**
 * DuMBO: decentralized Bayesian optimization of many numbers, for losses that are sums of factors which share parameters and may have many
 * of them (Bardou, Thiran and Begin 2024, Relaxing the Additivity Constraints in Decentralized No-Regret High-Dimensional Bayesian
 * Optimization, arXiv 2305.19838). One Gaussian process whose kernel is a sum over the factors gives each of them a lower bound
 * `mean_i(x_i) - confidence deviation_i(x_i)`. The sum of the bounds is made small by messages (`consensus`): no factor sees more than its own
 * parameters and what the others agree on for them.
 *
 * Lengths and, without `factors`, the partition are the likeliest of a few. Trials that failed or violate constraints on the outcome count
 * with the largest loss, open ones as predicted.
 *
 * @throws RangeError for options out of their range, and for factors with parameters that the space does not have
 */
export function dumbo({ factors, confidence = 2, ...options }: DumboOptions = {}): Sampler<null> {
  const { startup, largest } = checkProcess('dumbo', options)
  if (!(confidence >= 0 && confidence < Infinity)) {
    throw new RangeError(`dumbo: confidence must be a number from 0, not ${confidence}`)
  }
  return {
    name: 'dumbo',
    propose(view, { random }) {
      const { space, ended, open } = view
      const given = factors?.map((names) => names.map((name) => dimensionOf(space, name)))
      if (ended.filter(({ state }) => state === 'complete').length < startup) {
        return { kind: 'trial', point: evenly(space, 1, random)[0]! }
      }
      const trials = worthFitting(ended, largest)
      const losses = lossesOf(trials).map((loss, index) => (violation(trials[index]!) > 0 ? Infinity : loss))
      const targets = standardized(losses).values
      const points = trials.map(({ point }) => point)
      const structures = given ? [given] : partitions(space.dimensions.length, random)
      const processes = structures.flatMap((structure) =>
        lengths.map((length) => new AdditiveProcess(space, structure, length, points, targets)),
      )
      const likeliest = processes.reduce((a, b) => (b.evidence > a.evidence ? b : a))
      const process = likeliest.with(open.map(({ point }) => point))
      const bounds = process.factors.map((_, index) => (point: Point) => process.lowerBound(index, point, confidence))
      const around = bestTrials(trials, 2, 1).map(({ point }) => point)
      const starts = [...around, moved(space, around[0]!, 0.1, random), ...evenly(space, 2, random)]
      const found = starts.map((start) => consensus(space, process.factors, bounds, start, random))
      const sum = (point: Point) => bounds.reduce((total, bound) => total + bound(point), 0)
      const rated = [...found, ...starts]
        .map((point) => ({ point, value: sum(point) }))
        .sort((a, b) => a.value - b.value)
      const mayTry = untried(view)
      const [best] = [...rated.filter(({ point }) => mayTry(point)), ...rated]
      return { kind: 'trial', point: best!.point }
    },
  }
}

/** Lengths that are tried, in units of a usual one, and how many partitions. */
const lengths = [0.4, 1, 2.5]
const drawnPartitions = 6
const noise = 1e-3

function dimensionOf({ dimensions }: Space, name: string): number {
  const found = dimensions.findIndex((dimension) => dimension.name === name)
  if (found >= 0) return found
  throw new RangeError(
    `dumbo: '${name}' is no parameter of this space: ${dimensions.map((each) => each.name).join(', ')}`,
  )
}

function partitions(count: number, random: Random): number[][][] {
  const all = Array.from({ length: count }, (_, index) => index)
  const drawn = Array.from({ length: drawnPartitions }, () => {
    const parts = random.integer(1, Math.max(1, Math.ceil(count / 2)))
    const shuffled = random.shuffle(all)
    return Array.from({ length: parts }, (_, part) => shuffled.filter((_, place) => place % parts === part))
  })
  return [[all], ...drawn]
}

const rounds = 12
const penalty = 1
const tries = 8

/**
 * A point at which a sum of functions of few dimensions each is small, by the alternating direction method of multipliers: each function
 * moves its own copy of its dimensions to where it is small, near what has been agreed on; what is agreed on is the mean of the copies; and
 * prices of disagreement rise until the copies are equal. Choices stay as they are at the start.
 *
 * @param factors dimensions of each function
 * @param bounds the functions, which are asked at points that differ from what has been agreed on in their own dimensions alone
 */
export function consensus(
  space: Space,
  factors: readonly (readonly number[])[],
  bounds: readonly ((point: Point) => number)[],
  start: Point,
  random: Random,
): Point {
  const moving = factors.map((own) =>
    own.filter((index) => space.dimensions[index]!.domain.kind !== 'choice' && start[index] !== null),
  )
  let agreed = start.map((coordinate) => coordinate ?? 0)
  const copies = moving.map((own) => own.map((index) => agreed[index]!))
  const prices = moving.map((own) => own.map(() => 0))
  const pointOf = (own: readonly number[], copy: readonly number[]): Point => {
    const point: (number | null)[] = start.map((coordinate, index) => (coordinate === null ? null : agreed[index]!))
    for (const [place, index] of own.entries()) point[index] = copy[place]!
    return point
  }
  for (let round = 0; round < rounds; round++) {
    for (const [number, own] of moving.entries()) {
      const cost = (copy: readonly number[]) =>
        own.reduce(
          (sum, index, place) => {
            const apart = copy[place]! - agreed[index]!
            return sum + prices[number]![place]! * apart + (penalty / 2) * apart * apart
          },
          bounds[number]!(pointOf(own, copy)),
        )
      let [copy, least] = [copies[number]!, cost(copies[number]!)]
      let radius = 0.3 * 0.8 ** round
      for (let attempt = 0; attempt < tries; attempt++) {
        const next = copy.map((value) => Math.min(1, Math.max(0, value + radius * random.normal())))
        const value = cost(next)
        if (value < least) {
          copy = next
          least = value
          radius *= 1.5
        } else radius *= 0.8
      }
      copies[number] = copy
    }
    const sums = agreed.map(() => 0)
    const counts = agreed.map(() => 0)
    for (const [number, own] of moving.entries()) {
      for (const [place, index] of own.entries()) {
        sums[index]! += copies[number]![place]! + prices[number]![place]! / penalty
        counts[index]!++
      }
    }
    agreed = agreed.map((value, index) =>
      counts[index] === 0 ? value : Math.min(1, Math.max(0, sums[index]! / counts[index]!)),
    )
    for (const [number, own] of moving.entries()) {
      for (const [place, index] of own.entries())
        prices[number]![place]! += penalty * (copies[number]![place]! - agreed[index]!)
    }
  }
  return space.settle(start.map((coordinate, index) => (coordinate === null ? null : agreed[index]!)))
}

/** A Gaussian process with a kernel that is a mean of Matern's over factors. */
class AdditiveProcess {
  readonly factors: readonly (readonly number[])[]
  /** The logarithm of the likelihood of the targets, up to a constant. */
  readonly evidence: number
  readonly #space: Space
  readonly #length: number
  readonly #points: readonly Point[]
  readonly #targets: readonly number[]
  readonly #places: readonly Float64Array[]
  readonly #lower: readonly Float64Array[]
  readonly #alpha: Float64Array

  constructor(
    space: Space,
    factors: readonly (readonly number[])[],
    length: number,
    points: readonly Point[],
    targets: readonly number[],
  ) {
    this.factors = factors
    this.#space = space
    this.#length = length
    this.#points = points
    this.#targets = targets
    this.#places = points.map((point) => placesOf(space, point))
    const covariance = this.#places.map(() => new Float64Array(points.length))
    for (const [row, place] of this.#places.entries()) {
      for (const index of factors.keys()) {
        for (const [column, value] of this.#against(index, place).entries()) covariance[row]![column]! += value
      }
      covariance[row]![row]! += noise
    }
    this.#lower = factor(covariance)!
    const whitened = solveLower(this.#lower, targets)
    this.#alpha = solveUpper(this.#lower, whitened)
    this.evidence =
      -inner(whitened, whitened) / 2 - this.#lower.reduce((sum, row, index) => sum + Math.log(row[index]!), 0)
  }

  /** The process with more points, at which what it predicts was observed. */
  with(believed: readonly Point[]): AdditiveProcess {
    if (believed.length === 0) return this
    const guesses = believed.map((point) =>
      this.factors.reduce((sum, _, index) => sum + this.#predict(index, point).mean, 0),
    )
    return new AdditiveProcess(
      this.#space,
      this.factors,
      this.#length,
      [...this.#points, ...believed],
      [...this.#targets, ...guesses],
    )
  }

  lowerBound(index: number, point: Point, confidence: number): number {
    const { mean, variance } = this.#predict(index, point)
    return mean - confidence * Math.sqrt(variance)
  }

  #predict(index: number, point: Point): { mean: number; variance: number } {
    const covariance = this.#against(index, placesOf(this.#space, point))
    const whitened = solveLower(this.#lower, covariance)
    return {
      mean: inner(covariance, this.#alpha),
      variance: Math.max(0, 1 / this.factors.length - inner(whitened, whitened)),
    }
  }

  #against(index: number, place: Float64Array): Float64Array {
    const own = this.factors[index]!
    const length = this.#length * 0.4 * Math.sqrt(own.length)
    const covariance = new Float64Array(this.#places.length)
    for (let row = 0; row < covariance.length; row++) {
      let square = 0
      for (const dimension of own) square += squaredDistance(dimension, place, this.#places[row]!)
      covariance[row] = matern(Math.sqrt(square) / length) / this.factors.length
    }
    return covariance
  }
}
