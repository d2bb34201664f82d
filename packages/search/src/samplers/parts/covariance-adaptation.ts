import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import type { Random } from '../../random.ts'

/** How the step of mean and covariance is scaled: signal against noise, as moving averages. */
export type LearningRates = {
  readonly mean: { readonly rate: number; readonly average: readonly number[]; readonly square: number }
  readonly covariance: { readonly rate: number; readonly average: readonly number[]; readonly square: number }
}

/** The normal distribution of CMA-ES and its memory: plain data. Vectors are `[n]`. */
export type Adaptation = {
  readonly kind: 'full' | 'separable'
  readonly mean: readonly number[]
  readonly sigma: number
  /** `[n, n]` by rows; `[n]` for the diagonal when separable. */
  readonly covariance: readonly number[]
  /** Eigenvectors of the covariance as columns `[n, n]`; empty when separable. */
  readonly basis: readonly number[]
  /** Square roots of the eigenvalues. */
  readonly lengths: readonly number[]
  readonly sigmaPath: readonly number[]
  readonly covariancePath: readonly number[]
  readonly generation: number
  /** Points of a generation. */
  readonly population: number
  /** Stretches each axis after sampling; 1 without a margin. */
  readonly stretch: readonly number[]
  readonly rates: LearningRates | null
}

/** `4 + floor(3 ln n)`, the points of a generation that the tutorial recommends. */
export function defaultPopulation(n: number): number {
  return 4 + Math.floor(3 * Math.log(Math.max(1, n)))
}

/** The distribution at the start. */
export function beginAdaptation(options: {
  readonly mean: readonly number[]
  readonly sigma: number
  readonly population: number
  readonly kind: 'full' | 'separable'
  readonly adaptRates: boolean
}): Adaptation {
  const { mean, sigma, population, kind, adaptRates } = options
  const n = mean.length
  const size = kind === 'full' ? n * n : n
  const identity = Array.from({ length: size }, (_, index) => (kind === 'separable' || index % (n + 1) === 0 ? 1 : 0))
  const zeros = new Array<number>(n).fill(0)
  return {
    kind,
    mean,
    sigma,
    covariance: identity,
    basis: kind === 'full' ? identity : [],
    lengths: new Array<number>(n).fill(1),
    sigmaPath: zeros,
    covariancePath: zeros,
    generation: 0,
    population,
    stretch: new Array<number>(n).fill(1),
    rates: adaptRates
      ? {
          mean: { rate: 1, average: zeros, square: 0 },
          covariance: { rate: 1, average: new Array<number>(size).fill(0), square: 0 },
        }
      : null,
  }
}

/** A point: `mean + sigma stretch B D z` with z standard normal. */
export function sampleAdaptation(state: Adaptation, random: Random): number[] {
  const { mean, sigma, stretch, lengths } = state
  const normals = lengths.map((length) => length * random.normal())
  const direction = state.kind === 'full' ? times(state.basis, normals) : normals
  return mean.map((center, index) => center + sigma * stretch[index]! * direction[index]!)
}

interface Weights {
  readonly weights: readonly number[]
  readonly effective: number
  readonly rankOne: number
  readonly rankMany: number
  readonly sigmaRate: number
  readonly damping: number
  readonly pathRate: number
}

/** Strategy parameters of the tutorial's Table 1; a separable covariance learns (n + 2) / 3 times as fast and has no negative weights. */
function strategy(n: number, population: number, kind: Adaptation['kind']): Weights {
  const raw = Array.from({ length: population }, (_, index) => Math.log((population + 1) / 2) - Math.log(index + 1))
  const parents = Math.floor(population / 2)
  const effectiveOf = (values: readonly number[]) => {
    const sum = values.reduce((total, value) => total + value, 0)
    const squares = values.reduce((total, value) => total + value * value, 0)
    return squares === 0 ? 0 : (sum * sum) / squares
  }
  const effective = effectiveOf(raw.slice(0, parents))
  const speed = kind === 'separable' ? (n + 2) / 3 : 1
  const rankOne = Math.min(0.5, (speed * 2) / ((n + 1.3) ** 2 + effective))
  const rankMany = Math.min(
    1 - rankOne - 1e-8,
    (speed * 2 * (effective - 2 + 1 / effective)) / ((n + 2) ** 2 + effective),
  )
  const negative = Math.min(
    1 + rankOne / rankMany,
    1 + (2 * effectiveOf(raw.slice(parents))) / (effective + 2),
    (1 - rankOne - rankMany) / (n * rankMany),
  )
  const positiveSum = raw.reduce((sum, value) => sum + Math.max(0, value), 0)
  const negativeSum = raw.reduce((sum, value) => sum + Math.max(0, -value), 0)
  const weights = raw.map((value) =>
    value >= 0 ? value / positiveSum : kind === 'separable' ? 0 : (negative * value) / negativeSum,
  )
  const sigmaRate = (effective + 2) / (n + effective + 5)
  return {
    weights,
    effective,
    rankOne,
    rankMany,
    sigmaRate,
    damping: 1 + 2 * Math.max(0, Math.sqrt((effective - 1) / (n + 1)) - 1) + sigmaRate,
    pathRate: (4 + effective / n) / (n + 4 + (2 * effective) / n),
  }
}

/** Weights of the better half of a generation, `ln((population + 1) / 2) - ln(rank)`, which sum to 1. */
export function positiveWeights(population: number): number[] {
  const raw = Array.from({ length: population }, (_, index) =>
    Math.max(0, Math.log((population + 1) / 2) - Math.log(index + 1)),
  )
  const sum = raw.reduce((total, value) => total + value, 0)
  return sum === 0 ? raw.map((_, index) => (index === 0 ? 1 : 0)) : raw.map((value) => value / sum)
}

/**
 * Learns from a generation (Hansen 2016, The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772, with negative weights; separable: Ros
 * and Hansen 2008, A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity).
 *
 * @param points `[population][n]`, best first
 */
export function updateAdaptation(state: Adaptation, points: readonly (readonly number[])[]): Adaptation {
  const { mean, sigma, stretch, kind, population } = state
  const n = mean.length
  const { weights, effective, rankOne, rankMany, sigmaRate, damping, pathRate } = strategy(n, population, kind)
  const steps = points.map((point) => point.map((value, axis) => (value - mean[axis]!) / (sigma * stretch[axis]!)))
  const step = mean.map((_, axis) =>
    steps.reduce((sum, each, rank) => sum + Math.max(0, weights[rank] ?? 0) * each[axis]!, 0),
  )
  const whitened = whiten(state, step)
  const sigmaGain = Math.sqrt(sigmaRate * (2 - sigmaRate) * effective)
  const sigmaPath = state.sigmaPath.map((value, axis) => (1 - sigmaRate) * value + sigmaGain * whitened[axis]!)
  const expected = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
  const length = norm(sigmaPath)
  const newSigma = sigma * Math.exp(Math.min(1, (sigmaRate / damping) * (length / expected - 1)))
  const settled = length / Math.sqrt(1 - (1 - sigmaRate) ** (2 * (state.generation + 1)))
  const moves = settled < (1.4 + 2 / (n + 1)) * expected
  const pathGain = moves ? Math.sqrt(pathRate * (2 - pathRate) * effective) : 0
  const path = state.covariancePath.map((value, axis) => (1 - pathRate) * value + pathGain * step[axis]!)
  const scaled = weights.map((weight, rank) => {
    const each = steps[rank]
    if (weight >= 0 || each === undefined) return weight
    return (weight * n) / (norm(whiten(state, each)) ** 2 + 1e-8)
  })
  const kept =
    1 +
    (moves ? 0 : rankOne * pathRate * (2 - pathRate)) -
    rankOne -
    rankMany * weights.reduce((sum, weight) => sum + weight, 0)
  const covariance = new Array<number>(state.covariance.length)
  const entry = (row: number, column: number, index: number) => {
    let many = 0
    for (let rank = 0; rank < steps.length; rank++) {
      many += (scaled[rank] ?? 0) * steps[rank]![row]! * steps[rank]![column]!
    }
    covariance[index] = kept * state.covariance[index]! + rankOne * path[row]! * path[column]! + rankMany * many
  }
  if (kind === 'separable') for (let axis = 0; axis < n; axis++) entry(axis, axis, axis)
  else {
    for (let row = 0; row < n; row++) {
      for (let column = 0; column <= row; column++) {
        entry(row, column, row * n + column)
        covariance[column * n + row] = covariance[row * n + column]!
      }
    }
  }
  const next: Adaptation = {
    ...state,
    mean: mean.map((value, axis) => value + sigma * stretch[axis]! * step[axis]!),
    sigma: newSigma,
    covariance,
    sigmaPath,
    covariancePath: path,
    generation: state.generation + 1,
  }
  return decomposed(state.rates === null ? next : withRates(state, next, state.rates))
}

/** Square roots of the diagonal of the covariance, without sigma and stretch. */
export function deviations({ covariance, kind, mean }: Adaptation): number[] {
  const n = mean.length
  return mean.map((_, axis) => Math.sqrt(covariance[kind === 'full' ? axis * (n + 1) : axis]!))
}

/** What has been learned is scaled by how much of it is signal. */
const signal = { target: 1.4, damping: 0.1, mean: 0.1, covariance: 0.03 }

/**
 * Adapts the learning rates of mean and covariance so that the ratio of signal to noise of what is learned stays at a target in proportion
 * to them (Nomura, Akimoto, Ono 2023, CMA-ES with Learning Rate Adaptation, arXiv 2304.03473).
 */
function withRates(before: Adaptation, after: Adaptation, rates: LearningRates): Adaptation {
  const n = before.mean.length
  const [square, squareAfter] = [before.sigma ** 2, after.sigma ** 2]
  const change = after.covariance.map((value, index) => squareAfter * value - square * before.covariance[index]!)
  const shift = after.mean.map((value, axis) => value - before.mean[axis]!)
  const localShift = whiten(before, shift).map((value) => value / before.sigma)
  const localChange = whitenedChange(before, change).map((value) => value / square / Math.SQRT2)
  const mean = adapted(rates.mean, localShift, signal.mean)
  const covarianceRate = adapted(rates.covariance, localChange, signal.covariance)
  const whole = change.map((value, index) => square * before.covariance[index]! + covarianceRate.rate * value)
  // The determinant of the covariance is put into sigma.
  const scaled = decomposed({ ...after, covariance: whole })
  const sigma = Math.exp(scaled.lengths.reduce((sum, length) => sum + Math.log(length), 0) / n)
  return {
    ...after,
    mean: before.mean.map((value, axis) => value + mean.rate * shift[axis]!),
    sigma: (sigma * rates.mean.rate) / mean.rate,
    covariance: scaled.covariance.map((value) => value / sigma ** 2),
    rates: { mean, covariance: covarianceRate },
  }
}

function adapted({ rate, average, square }: LearningRates['mean'], step: readonly number[], decay: number) {
  const nextAverage = average.map((value, index) => (1 - decay) * value + decay * step[index]!)
  const nextSquare = (1 - decay) * square + decay * norm(step) ** 2
  const signalSquare = norm(nextAverage) ** 2
  const noise = nextSquare - signalSquare
  const ratio = noise > 0 ? (signalSquare - (decay / (2 - decay)) * nextSquare) / noise : Infinity
  const relative = Math.min(1, Math.max(-1, ratio / (signal.target * rate) - 1))
  const next = Math.min(1, rate * Math.exp(Math.min(signal.damping * rate, decay) * relative))
  return { rate: next, average: nextAverage, square: nextSquare }
}

/** `C^(-1/2)` times a vector. */
function whiten({ kind, basis, lengths }: Adaptation, vector: readonly number[]): number[] {
  if (kind === 'separable') return vector.map((value, axis) => value / lengths[axis]!)
  const turned = timesTransposed(basis, vector).map((value, axis) => value / lengths[axis]!)
  return times(basis, turned)
}

/** `C^(-1/2) M C^(-1/2)`; of diagonals when separable. */
function whitenedChange(state: Adaptation, matrix: readonly number[]): number[] {
  if (state.kind === 'separable') return matrix.map((value, axis) => value / state.lengths[axis]! ** 2)
  const n = state.mean.length
  const rows = Array.from({ length: n }, (_, row) => whiten(state, matrix.slice(row * n, row * n + n)))
  const columns = Array.from({ length: n }, (_, column) =>
    whiten(
      state,
      rows.map((row) => row[column]!),
    ),
  )
  return columns.flat()
}

/** Takes eigenvalues below the limits of what numbers can say up to them, and writes basis and lengths anew. */
function decomposed(state: Adaptation): Adaptation {
  const n = state.mean.length
  if (state.kind === 'separable') {
    const covariance = state.covariance.map((value) => Math.max(1e-300, value))
    return { ...state, covariance, lengths: covariance.map(Math.sqrt) }
  }
  const matrix = Matrix.from1DArray(n, n, [...state.covariance])
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true })
  const basis = eigenvectorMatrix.to1DArray()
  const least = Math.max(1e-300, 1e-20 * Math.max(...realEigenvalues))
  const lengths = realEigenvalues.map((value) => Math.sqrt(Math.max(least, value)))
  if (realEigenvalues.every((value) => value >= least)) return { ...state, basis, lengths }
  const covariance = state.covariance.map((_, index) => {
    const [row, column] = [Math.floor(index / n), index % n]
    return lengths.reduce((sum, length, k) => sum + length * length * basis[row * n + k]! * basis[column * n + k]!, 0)
  })
  return { ...state, covariance, basis, lengths }
}

function times(matrix: readonly number[], vector: readonly number[]): number[] {
  const n = vector.length
  return vector.map((_, row) => {
    let sum = 0
    for (let column = 0; column < n; column++) sum += matrix[row * n + column]! * vector[column]!
    return sum
  })
}

function timesTransposed(matrix: readonly number[], vector: readonly number[]): number[] {
  const n = vector.length
  return vector.map((_, column) => {
    let sum = 0
    for (let row = 0; row < n; row++) sum += matrix[row * n + column]! * vector[row]!
    return sum
  })
}

function norm(vector: readonly number[]): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
}
