import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import type { Random } from '../../random.ts'
import type { Coordinate, Point } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'
import { minimize, type Slope } from './minimize.ts'

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
 * The square of how far two coordinates are apart. Two values of a choice are 1 apart, as in a one-hot encoding divided by the root of 2; a
 * dimension that does not exist stands in the middle of it and 1 beside it.
 */
function squaredDistance(space: Space, index: number, a: Coordinate, b: Coordinate): number {
  if (space.dimensions[index]!.domain.kind === 'choice') return a === b ? 0 : 1
  return ((a ?? 0.5) - (b ?? 0.5)) ** 2 + ((a === null) === (b === null) ? 0 : 1)
}

/** Matern's kernel of smoothness 5/2 of a distance in lengths. */
function matern(distance: number): number {
  return (1 + rootFive * distance + (5 / 3) * distance * distance) * Math.exp(-rootFive * distance)
}

function pack({ logLengths, logAmplitude, logNoise }: Hyperparameters): number[] {
  return [...logLengths, logAmplitude, logNoise]
}

function unpack(packed: readonly number[]): Hyperparameters {
  return { logLengths: packed.slice(0, -2), logAmplitude: packed.at(-2)!, logNoise: packed.at(-1)! }
}

/** The lower factor of Cholesky, row by row; `null` when the matrix is not positive definite. */
function factor(matrix: readonly Float64Array[]): Float64Array[] | null {
  const cholesky = new CholeskyDecomposition(new Matrix(matrix as unknown as number[][]))
  if (!cholesky.isPositiveDefinite()) return null
  return cholesky.lowerTriangularMatrix.to2DArray().map((row) => Float64Array.from(row))
}

function solveLower(lower: readonly Float64Array[], right: ArrayLike<number>): Float64Array {
  const solution = new Float64Array(lower.length)
  for (let row = 0; row < lower.length; row++) {
    const factors = lower[row]!
    let sum = right[row]!
    for (let column = 0; column < row; column++) sum -= factors[column]! * solution[column]!
    solution[row] = sum / factors[row]!
  }
  return solution
}

function solveUpper(lower: readonly Float64Array[], right: ArrayLike<number>): Float64Array {
  const solution = Float64Array.from(right)
  for (let row = lower.length - 1; row >= 0; row--) {
    const factors = lower[row]!
    const value = solution[row]! / factors[row]!
    solution[row] = value
    for (let column = 0; column < row; column++) solution[column]! -= factors[column]! * value
  }
  return solution
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
  const distances = space.dimensions.map((_, index) =>
    points.map((a) => Float64Array.from(points, (b) => squaredDistance(space, index, a[index]!, b[index]!))),
  )
  const prior = [...Array.from({ length: dimensions }, () => priors.length(dimensions)), priors.amplitude, priors.noise]
  return (packed) => {
    const { logLengths, logAmplitude, logNoise } = unpack(packed)
    const inverseSquares = logLengths.map((length) => Math.exp(-2 * length))
    const [amplitude, noise] = [Math.exp(logAmplitude), Math.exp(logNoise)]
    const between = points.map(() => new Float64Array(count))
    const covariance = points.map(() => new Float64Array(count))
    for (let row = 0; row < count; row++) {
      for (let column = 0; column <= row; column++) {
        let square = 0
        for (let index = 0; index < dimensions; index++)
          square += distances[index]![row]![column]! * inverseSquares[index]!
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
    for (let row = 0; row < count; row++) {
      const unit = new Float64Array(count)
      unit[row] = 1
      const inverse = solveUpper(lower, solveLower(lower, unit))
      for (let column = 0; column <= row; column++) {
        const half = (inverse[column]! - alpha[row]! * alpha[column]!) * (row === column ? 0.5 : 1)
        const distance = between[row]![column]!
        const decay = amplitude * Math.exp(-rootFive * distance)
        gradient[dimensions]! += half * amplitude * matern(distance)
        if (row === column) {
          gradient[dimensions + 1]! += half * noise
          continue
        }
        const common = half * decay * (5 / 3) * (1 + rootFive * distance)
        for (let index = 0; index < dimensions; index++) {
          gradient[index]! += common * distances[index]![row]![column]! * inverseSquares[index]!
        }
      }
    }
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
  readonly #inverseSquares: readonly number[]
  readonly #amplitude: number
  readonly #lower: readonly Float64Array[]
  readonly #alpha: Float64Array

  constructor(space: Space, points: readonly Point[], targets: readonly number[], hyperparameters: Hyperparameters) {
    this.#space = space
    this.#points = points
    this.#inverseSquares = hyperparameters.logLengths.map((length) => Math.exp(-2 * length))
    this.#amplitude = Math.exp(hyperparameters.logAmplitude)
    const covariance = points.map((point) => this.#against(point))
    for (const [index, row] of covariance.entries()) row[index]! += Math.exp(hyperparameters.logNoise) + jitter
    const lower = factor(covariance)
    if (lower === null) throw new Error('the covariance of the points is singular: they need more noise')
    this.#lower = lower
    this.#alpha = solveUpper(lower, solveLower(lower, targets))
  }

  predict(point: Point): Prediction {
    const covariance = this.#against(point)
    const whitened = solveLower(this.#lower, covariance)
    let mean = 0
    let variance = this.#amplitude
    for (let index = 0; index < covariance.length; index++) {
      mean += covariance[index]! * this.#alpha[index]!
      variance -= whitened[index]! ** 2
    }
    return { mean, variance: Math.max(variance, 1e-12 * this.#amplitude) }
  }

  /**
   * Values of a function drawn from the process, at several points.
   *
   * @throws Error when rounding makes the covariance of the points singular
   */
  sampler(points: readonly Point[]): (random: Random) => number[] {
    const means = points.map((point) => this.predict(point).mean)
    const whitened = points.map((point) => solveLower(this.#lower, this.#against(point)))
    const own = points.map((point) => this.#between(point, points))
    for (const [row, values] of own.entries()) {
      for (const column of values.keys()) {
        let known = 0
        for (let index = 0; index < whitened[row]!.length; index++)
          known += whitened[row]![index]! * whitened[column]![index]!
        values[column]! -= known
      }
      values[row]! += 1e-6 * this.#amplitude
    }
    const lower = factor(own)
    if (lower === null) throw new Error('the covariance of the points to sample at is singular')
    return (random) => {
      const normals = points.map(() => random.normal())
      return lower.map((row, index) =>
        row.reduce((sum, value, column) => sum + value * normals[column]!, means[index]!),
      )
    }
  }

  #against(point: Point): Float64Array {
    return this.#between(point, this.#points)
  }

  #between(point: Point, others: readonly Point[]): Float64Array {
    return Float64Array.from(others, (other) => {
      let square = 0
      for (let index = 0; index < this.#inverseSquares.length; index++) {
        square += squaredDistance(this.#space, index, point[index]!, other[index]!) * this.#inverseSquares[index]!
      }
      return this.#amplitude * matern(Math.sqrt(square))
    })
  }
}
