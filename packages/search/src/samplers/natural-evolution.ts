import { EigenvalueDecomposition, inverse, Matrix } from 'ml-matrix'
import { positiveUpTo, wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import { defaultPopulation } from './parts/covariance-adaptation.ts'
import { generational } from './parts/generations.ts'

/** Options of `naturalEvolution`. */
export interface NaturalEvolutionOptions {
  /** Points of a generation. Default: `4 + floor(3 ln n)` for n numbers. */
  readonly population?: number
  /** Deviation at the start, in coordinates from 0 to 1. Default: 0.3. */
  readonly sigma?: number
  /** `full` is xNES, `separable` SNES, whose time is linear in n. Default: `full`. */
  readonly covariance?: 'full' | 'separable'
}

/** A normal distribution `mean + shape z`, z standard normal: `shape` is `[n, n]` by rows, or `[n]` for a diagonal. */
export type Shape = {
  readonly mean: readonly number[]
  readonly shape: readonly number[]
  readonly population: number
}

/**
 * Natural evolution strategies: the natural gradient of the expected utility of ranks in exponential coordinates (Wierstra, Schaul,
 * Glasmachers, Sun, Peters, Schmidhuber 2014, Natural Evolution Strategies, arXiv 1106.4487): xNES with a full covariance, SNES with a
 * diagonal one.
 *
 * @throws RangeError for a population below 2, and for a sigma that is not above 0 and at most 1
 */
export function naturalEvolution(options: NaturalEvolutionOptions = {}) {
  const method = 'naturalEvolution'
  const sigma = positiveUpTo(method, 'sigma', options.sigma ?? 0.3, 1)
  if (options.population !== undefined) wholeFrom(method, 'population', options.population, 2)
  const isFull = (options.covariance ?? 'full') === 'full'
  return generational<Shape>(method, {
    begin: ({ length: n }) => beginShape(new Array<number>(n).fill(0.5), sigma, isFull, options.population),
    population: ({ population }) => population,
    sample: sampleShape,
    update: (state, points) =>
      updateShape(
        state,
        points.map(({ sample }) => sample),
      ),
  })
}

/** The distribution at the start. */
export function beginShape(
  mean: readonly number[],
  sigma: number,
  isFull: boolean,
  population = defaultPopulation(mean.length),
): Shape {
  const n = mean.length
  const shape = Array.from({ length: isFull ? n * n : n }, (_, index) => (!isFull || index % (n + 1) === 0 ? sigma : 0))
  return { mean, shape, population }
}

/** A point of the distribution. */
export function sampleShape({ mean, shape }: Shape, random: Random): number[] {
  const normals = mean.map(() => random.normal())
  if (shape.length === mean.length) return mean.map((value, axis) => value + shape[axis]! * normals[axis]!)
  const step = matrixOf(shape).mmul(Matrix.columnVector(normals)).to1DArray()
  return mean.map((value, axis) => value + step[axis]!)
}

/**
 * Learns from a generation: `mean += A g`, `A <- A exp(rate / 2 G)` with `g = sum u_i z_i` and `G = sum u_i (z_i z_i' - I)`.
 *
 * @param points `[population][n]`, best first
 */
export function updateShape(state: Shape, points: readonly (readonly number[])[]): Shape {
  const { mean, shape, population } = state
  const n = mean.length
  const raw = points.map((_, rank) => Math.max(0, Math.log(population / 2 + 1) - Math.log(rank + 1)))
  const total = raw.reduce((sum, value) => sum + value, 0)
  const utilities = raw.map((value) => value / total - 1 / population)
  const isFull = shape.length !== n || n === 1
  const back = isFull ? inverse(matrixOf(shape)) : null
  const normals = points.map((point) => {
    const step = point.map((value, axis) => value - mean[axis]!)
    return back ? back.mmul(Matrix.columnVector(step)).to1DArray() : step.map((value, axis) => value / shape[axis]!)
  })
  const along = mean.map((_, axis) => normals.reduce((sum, each, rank) => sum + utilities[rank]! * each[axis]!, 0))
  if (!back) {
    const rate = (3 + Math.log(n)) / (5 * Math.sqrt(n))
    return {
      ...state,
      mean: mean.map((value, axis) => value + shape[axis]! * along[axis]!),
      shape: shape.map((value, axis) => {
        const slope = normals.reduce((sum, each, rank) => sum + utilities[rank]! * (each[axis]! ** 2 - 1), 0)
        return Math.max(1e-150, value * Math.exp(Math.min(1, (rate / 2) * slope)))
      }),
    }
  }
  const rate = (9 + 3 * Math.log(n)) / (5 * n * Math.sqrt(n))
  const slope = Matrix.zeros(n, n)
  for (const [rank, each] of normals.entries()) {
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const value = slope.get(row, column)
        const square = each[row]! * each[column]! - (row === column ? 1 : 0)
        slope.set(row, column, value + utilities[rank]! * square)
      }
    }
  }
  const matrix = matrixOf(shape)
  const step = matrix.mmul(Matrix.columnVector(along)).to1DArray()
  return {
    ...state,
    mean: mean.map((value, axis) => value + step[axis]!),
    shape: matrix.mmul(exponential(slope.mul(rate / 2))).to1DArray(),
  }
}

function matrixOf(shape: readonly number[]): Matrix {
  const n = Math.sqrt(shape.length)
  return Matrix.from1DArray(n, n, [...shape])
}

/** `exp(M)` of a symmetric matrix. */
function exponential(matrix: Matrix): Matrix {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true })
  const scaled = eigenvectorMatrix.clone()
  for (const [column, value] of realEigenvalues.entries()) scaled.mulColumn(column, Math.exp(Math.min(1, value)))
  return scaled.mmul(eigenvectorMatrix.transpose())
}
