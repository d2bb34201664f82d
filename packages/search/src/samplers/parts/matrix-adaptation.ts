import type { Random } from '../../random.ts'
import { defaultPopulation, positiveWeights } from './covariance-adaptation.ts'

/** The normal distribution of LM-MA-ES: a mean, a step size and a few directions. Vectors are `[n]`. */
export type MatrixAdaptation = {
  readonly mean: readonly number[]
  readonly sigma: number
  readonly path: readonly number[]
  /** `[m][n]` directions of the transformation, remembered over 1 / c_c,i generations each. */
  readonly directions: readonly (readonly number[])[]
  readonly generation: number
  readonly population: number
}

/** The distribution at the start; `population` directions, which is of the order of ln n. */
export function beginMatrixAdaptation(
  mean: readonly number[],
  sigma: number,
  population = defaultPopulation(mean.length),
): MatrixAdaptation {
  const zeros = mean.map(() => 0)
  return { mean, sigma, path: zeros, directions: new Array(population).fill(zeros), generation: 0, population }
}

function rates(index: number, n: number, population: number): { direction: number; path: number } {
  // A rate of 1, which one number alone would have, cannot be undone.
  return { direction: Math.min(0.5, 1 / (1.5 ** index * n)), path: population / (4 ** index * n) }
}

/** A point `mean + sigma d` with `d <- (1 - c_d,i) d + c_d,i m_i (m_i . d)` from a standard normal d. */
export function sampleMatrixAdaptation(state: MatrixAdaptation, random: Random): number[] {
  const { mean, sigma, directions, generation, population } = state
  const step = transformed(
    mean.map(() => random.normal()),
    directions.slice(0, generation),
    population,
  )
  return mean.map((value, axis) => value + sigma * step[axis]!)
}

function transformed(
  normals: readonly number[],
  directions: readonly (readonly number[])[],
  population: number,
): number[] {
  const n = normals.length
  let step = [...normals]
  for (const [index, direction] of directions.entries()) {
    const { direction: rate } = rates(index, n, population)
    const along = direction.reduce((sum, value, axis) => sum + value * step[axis]!, 0)
    step = step.map((value, axis) => (1 - rate) * value + rate * direction[axis]! * along)
  }
  return step
}

/** The standard normal vector that gave a step: the transformations `(1 - c) I + c m m'` undone one by one, last first. */
function untransformed(
  step: readonly number[],
  directions: readonly (readonly number[])[],
  population: number,
): number[] {
  const n = step.length
  let normals = [...step]
  for (const [index, direction] of [...directions.entries()].reverse()) {
    const { direction: rate } = rates(index, n, population)
    const square = direction.reduce((sum, value) => sum + value * value, 0)
    const along = direction.reduce((sum, value, axis) => sum + value * normals[axis]!, 0)
    const back = (rate * along) / (1 - rate + rate * square)
    normals = normals.map((value, axis) => (value - back * direction[axis]!) / (1 - rate))
  }
  return normals
}

/**
 * Learns from a generation (Loshchilov, Glasmachers, Beyer 2017, Limited-Memory Matrix Adaptation for Large Scale Black-box Optimization,
 * arXiv 1705.06693), in time `O(n log n)` per point.
 *
 * @param points `[population][n]`, best first
 */
export function updateMatrixAdaptation(
  state: MatrixAdaptation,
  points: readonly (readonly number[])[],
): MatrixAdaptation {
  const { mean, sigma, directions, generation, population } = state
  const n = mean.length
  const weights = positiveWeights(population)
  const effective = 1 / weights.reduce((sum, weight) => sum + weight * weight, 0)
  const parents = points.slice(0, Math.max(1, Math.floor(population / 2)))
  const steps = parents.map((point) => point.map((value, axis) => (value - mean[axis]!) / sigma))
  const weighted = (vectors: readonly (readonly number[])[]) =>
    mean.map((_, axis) => vectors.reduce((sum, vector, rank) => sum + weights[rank]! * vector[axis]!, 0))
  const step = weighted(steps)
  // The transformation is linear, so the mean of the normal vectors is the one that gives the mean of the steps.
  const normals = untransformed(step, directions.slice(0, generation), population)
  const follow = (path: readonly number[], rate: number) => {
    const gain = Math.sqrt(effective * rate * (2 - rate))
    return path.map((value, axis) => (1 - rate) * value + gain * normals[axis]!)
  }
  const sigmaRate = Math.min(1, (2 * population) / n)
  const path = follow(state.path, sigmaRate)
  const square = path.reduce((sum, value) => sum + value * value, 0)
  return {
    mean: mean.map((value, axis) => value + sigma * step[axis]!),
    sigma: sigma * Math.exp(Math.min(1, (sigmaRate / 2) * (square / n - 1))),
    path,
    directions: directions.map((direction, index) => follow(direction, Math.min(1, rates(index, n, population).path))),
    generation: generation + 1,
    population,
  }
}
