import type { Random } from '../../random.ts'
import type { Point } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'
import { minimize, type Slope } from './minimize.ts'
import { factor, inner, solveLower, solveUpper } from './triangular.ts'

/** Logarithms of what a Gaussian process is made of. */
export interface Hyperparameters {
  /** One for each dimension of the space. */
  readonly logLengths: readonly number[]
  /** Of the variance of the function. */
  readonly logAmplitude: number
  /** Of the variance of the noise. */
  readonly logNoise: number
}

/** Mean and variance of the function, without noise, at a point. */
export interface Prediction {
  readonly mean: number
  readonly variance: number
}

const rootFive = Math.sqrt(5)
const jitter = 1e-8

/** Normal priors of the logarithms: weak, but without them few points would allow lengths and noise without bounds. */
const priors = {
  length: (dimensions: number) => ({ mean: Math.log(0.4 * Math.sqrt(dimensions)), deviation: 1 }),
  amplitude: { mean: 0, deviation: 1 },
  noise: { mean: Math.log(1e-4), deviation: 2 },
}

/**
 * Points as distances see them: three numbers for each dimension, of which the squared differences are added. Two values of a choice are 1
 * apart, as in a one-hot encoding divided by the root of 2; a dimension that does not exist stands in the middle of it and 1 beside it.
 */
export function placesOf({ dimensions }: Space, point: Point): Float64Array {
  const places = new Float64Array(3 * dimensions.length)
  for (let index = 0; index < dimensions.length; index++) {
    const coordinate = point[index] ?? null
    if (dimensions[index]!.domain.kind === 'choice') places[3 * index] = coordinate ?? -1
    else {
      places[3 * index + 1] = coordinate ?? 0.5
      places[3 * index + 2] = coordinate === null ? 1 : 0
    }
  }
  return places
}

/** The square of how far two points are apart in one dimension. */
export function squaredDistance(index: number, a: Float64Array, b: Float64Array): number {
  const start = 3 * index
  if (a[start] !== b[start]) return 1
  const apart = a[start + 1]! - b[start + 1]!
  return a[start + 2] === b[start + 2] ? apart * apart : apart * apart + 1
}

/** Matern's kernel of smoothness 5/2 of a distance in lengths. */
export function matern(distance: number): number {
  return (1 + rootFive * distance + (5 / 3) * distance * distance) * Math.exp(-rootFive * distance)
}

function pack({ logLengths, logAmplitude, logNoise }: Hyperparameters): number[] {
  return [...logLengths, logAmplitude, logNoise]
}

function unpack(packed: readonly number[]): Hyperparameters {
  return { logLengths: packed.slice(0, -2), logAmplitude: packed.at(-2)!, logNoise: packed.at(-1)! }
}

/**
 * The negated logarithm of the marginal likelihood times the priors, by the packed logarithms: lengths, amplitude, noise (Rasmussen and
 * Williams 2006, Gaussian Processes for Machine Learning, equations 5.8 and 5.9).
 */
export function evidence(
  space: Space,
  points: readonly Point[],
  targets: readonly number[],
): (packed: readonly number[]) => Slope {
  const count = points.length
  const dimensions = space.dimensions.length
  const places = points.map((point) => placesOf(space, point))
  // Of each pair of points, row by row, its distances in all dimensions.
  const distances = new Float64Array(((count * (count + 1)) / 2) * dimensions)
  let place = 0
  for (let row = 0; row < count; row++) {
    for (let column = 0; column <= row; column++) {
      for (let index = 0; index < dimensions; index++)
        distances[place++] = squaredDistance(index, places[row]!, places[column]!)
    }
  }
  const prior = [...Array.from({ length: dimensions }, () => priors.length(dimensions)), priors.amplitude, priors.noise]
  return (packed) => {
    const { logLengths, logAmplitude, logNoise } = unpack(packed)
    const inverseSquares = Float64Array.from(logLengths, (length) => Math.exp(-2 * length))
    const [amplitude, noise] = [Math.exp(logAmplitude), Math.exp(logNoise)]
    const between = points.map(() => new Float64Array(count))
    let pair = 0
    const covariance = points.map(() => new Float64Array(count))
    for (let row = 0; row < count; row++) {
      for (let column = 0; column <= row; column++) {
        let square = 0
        for (let index = 0; index < dimensions; index++) square += distances[pair++]! * inverseSquares[index]!
        const distance = Math.sqrt(square)
        between[row]![column] = distance
        const value = amplitude * matern(distance)
        covariance[row]![column] = value
        covariance[column]![row] = value
      }
      covariance[row]![row]! += noise + jitter
    }
    const lower = factor(covariance)
    if (lower === null) return { value: Infinity, gradient: packed.map(() => 0) }
    const whitened = solveLower(lower, targets)
    const alpha = solveUpper(lower, whitened)
    let value = (count / 2) * Math.log(2 * Math.PI)
    for (let row = 0; row < count; row++) value += whitened[row]! ** 2 / 2 + Math.log(lower[row]![row]!)
    const gradient = packed.map(() => 0)
    const byLength = new Float64Array(dimensions)
    pair = 0
    for (let row = 0; row < count; row++) {
      const unit = new Float64Array(count)
      unit[row] = 1
      const inverse = solveUpper(lower, solveLower(lower, unit, row))
      for (let column = 0; column <= row; column++) {
        const half = (inverse[column]! - alpha[row]! * alpha[column]!) * (row === column ? 0.5 : 1)
        const distance = between[row]![column]!
        const decay = amplitude * Math.exp(-rootFive * distance)
        gradient[dimensions]! += half * amplitude * matern(distance)
        if (row === column) gradient[dimensions + 1]! += half * noise
        const common = half * decay * (5 / 3) * (1 + rootFive * distance)
        for (let index = 0; index < dimensions; index++) {
          byLength[index]! += common * distances[pair++]! * inverseSquares[index]!
        }
      }
    }
    for (const [index, sum] of byLength.entries()) gradient[index] = sum
    for (const [index, { mean, deviation }] of prior.entries()) {
      const off = (packed[index]! - mean) / deviation
      value += (off * off) / 2
      gradient[index]! += off / deviation
    }
    return { value, gradient }
  }
}

/** Hyperparameters that maximize the marginal likelihood times weak priors of lengths, amplitude and noise. */
export function fitHyperparameters(
  space: Space,
  points: readonly Point[],
  targets: readonly number[],
): Hyperparameters {
  const slopeAt = evidence(space, points, targets)
  const length = priors.length(space.dimensions.length).mean
  const starts = [length, length - 1].map((start) =>
    pack({ logLengths: space.dimensions.map(() => start), logAmplitude: 0, logNoise: priors.noise.mean }),
  )
  const found = starts.map((start) => minimize(slopeAt, start, 30))
  const [first, second] = found.map((packed) => slopeAt(packed).value)
  return unpack(found[second! < first! ? 1 : 0]!)
}

/**
 * A Gaussian process over the points of a space, with Matern's kernel of smoothness 5/2, a length for each dimension and noise (Rasmussen
 * and Williams 2006, algorithm 2.1). Its mean before observations is 0.
 *
 * @throws Error when rounding makes the covariance of the points singular
 */
export class GaussianProcess {
  readonly #space: Space
  readonly #points: readonly Point[]
  readonly #targets: readonly number[]
  readonly #hyperparameters: Hyperparameters
  readonly #places: readonly Float64Array[]
  readonly #inverseSquares: readonly number[]
  readonly #amplitude: number
  readonly #lower: readonly Float64Array[]
  readonly #alpha: Float64Array
  /** Variance of the noise. */
  readonly noise: number

  constructor(space: Space, points: readonly Point[], targets: readonly number[], hyperparameters: Hyperparameters) {
    this.#space = space
    this.#points = points
    this.#targets = targets
    this.#hyperparameters = hyperparameters
    this.#places = points.map((point) => placesOf(space, point))
    this.#inverseSquares = hyperparameters.logLengths.map((length) => Math.exp(-2 * length))
    this.#amplitude = Math.exp(hyperparameters.logAmplitude)
    this.noise = Math.exp(hyperparameters.logNoise)
    const covariance = this.#places.map((place) => this.#between(place, this.#places))
    for (const [index, row] of covariance.entries()) row[index]! += this.noise + jitter
    const lower = factor(covariance)
    if (lower === null) throw new Error('the covariance of the points is singular: they need more noise')
    this.#lower = lower
    this.#alpha = solveUpper(lower, solveLower(lower, targets))
  }

  /** The same process with all lengths multiplied by a factor. */
  withLengths(factor: number): GaussianProcess {
    const logLengths = this.#hyperparameters.logLengths.map((length) => length + Math.log(factor))
    return new GaussianProcess(this.#space, this.#points, this.#targets, { ...this.#hyperparameters, logLengths })
  }

  predict(point: Point): Prediction {
    return this.#predicted(this.#against(placesOf(this.#space, point)))
  }

  /** Predictions with the covariances, without noise, of the function there and at each of `others`. */
  jointly(others: readonly Point[]): (point: Point) => Prediction & { readonly covariances: Float64Array } {
    const places = others.map((point) => placesOf(this.#space, point))
    const whitened = places.map((place) => this.#against(place).whitened)
    return (point) => {
      const place = placesOf(this.#space, point)
      const known = this.#against(place)
      const covariances = this.#between(place, places)
      for (const [index, other] of whitened.entries()) covariances[index]! -= inner(known.whitened, other)
      return { ...this.#predicted(known), covariances }
    }
  }

  /**
   * Values of a function drawn from the process, at several points.
   *
   * @throws Error when rounding makes the covariance of the points singular
   */
  sampler(points: readonly Point[]): (random: Random) => number[] {
    const means = points.map((point) => this.predict(point).mean)
    const at = this.jointly(points)
    const own = points.map((point) => at(point).covariances)
    for (const [row, values] of own.entries()) values[row]! += 1e-6 * this.#amplitude
    const lower = factor(own)
    if (lower === null) throw new Error('the covariance of the points to sample at is singular')
    return (random) => {
      const normals = points.map(() => random.normal())
      return lower.map((values, row) => {
        let sum = means[row]!
        for (let column = 0; column <= row; column++) sum += values[column]! * normals[column]!
        return sum
      })
    }
  }

  #predicted({ covariance, whitened }: Known): Prediction {
    let mean = 0
    let variance = this.#amplitude
    for (let index = 0; index < covariance.length; index++) {
      mean += covariance[index]! * this.#alpha[index]!
      variance -= whitened[index]! * whitened[index]!
    }
    return { mean, variance: Math.max(variance, 1e-12 * this.#amplitude) }
  }

  #against(place: Float64Array): Known {
    const covariance = this.#between(place, this.#places)
    return { covariance, whitened: solveLower(this.#lower, covariance) }
  }

  #between(place: Float64Array, others: readonly Float64Array[]): Float64Array {
    const covariance = new Float64Array(others.length)
    for (let row = 0; row < others.length; row++) {
      let square = 0
      for (let index = 0; index < this.#inverseSquares.length; index++) {
        square += squaredDistance(index, place, others[row]!) * this.#inverseSquares[index]!
      }
      covariance[row] = this.#amplitude * matern(Math.sqrt(square))
    }
    return covariance
  }
}

/** What observations say of a point: its covariances with them, and these with those among the observations taken out. */
interface Known {
  readonly covariance: Float64Array
  readonly whitened: Float64Array
}
