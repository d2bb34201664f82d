import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { positiveUpTo, wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import { generational } from './parts/generations.ts'

/** Options of `estimationOfDistribution`. */
export interface EstimationOfDistributionOptions {
  /** `independent` is UMDA with a normal distribution for each number, `joint` EMNA with one for all. Default: `joint`. */
  readonly model?: 'independent' | 'joint'
  /** Points of a generation. Default: `20 + 4 n` for n numbers. */
  readonly population?: number
  /** The share of a generation that the distribution is estimated from. Default: 0.4. */
  readonly elite?: number
}

/** A normal distribution: `mean` `[n]`, and `shape` `[n, n]` by rows whose square is the covariance. */
type State = { readonly mean: readonly number[]; readonly shape: readonly number[] }

/**
 * Estimation of distribution: the next generation comes from the normal distribution that makes the better part of this one most likely:
 * UMDA (Muehlenbein and Paass 1996; for numbers, Larranaga, Etxeberria, Lozano, Pena 2000) and EMNA (Larranaga and Lozano 2002, Estimation of
 * Distribution Algorithms).
 *
 * @throws RangeError for a population below 2 and an elite outside of (0, 1]
 */
export function estimationOfDistribution(options: EstimationOfDistributionOptions = {}) {
  const method = 'estimationOfDistribution'
  const isJoint = (options.model ?? 'joint') === 'joint'
  const elite = positiveUpTo(method, 'elite', options.elite ?? 0.4, 1)
  if (options.population !== undefined) wholeFrom(method, 'population', options.population, 2)
  const count = (n: number) => options.population ?? 20 + 4 * n
  return generational<State>(method, {
    begin: ({ length: n }) => ({
      mean: new Array<number>(n).fill(0.5),
      shape: Array.from({ length: n * n }, (_, index) => (index % (n + 1) === 0 ? 0.3 : 0)),
    }),
    population: ({ mean }) => count(mean.length),
    sample: drawn,
    update(_, points) {
      const chosen = points
        .slice(0, Math.max(2, Math.round(elite * points.length)))
        .filter(({ loss }) => loss < Infinity)
      return estimated(
        chosen.map(({ sample }) => sample),
        isJoint,
      )
    },
  })
}

function drawn({ mean, shape }: State, random: Random): number[] {
  const normals = mean.map(() => random.normal())
  const n = mean.length
  return mean.map((value, row) => normals.reduce((sum, normal, k) => sum + shape[row * n + k]! * normal, value))
}

/** The most likely normal distribution of points; no deviation is below 1e-5, so that one point gives a distribution too. */
export function estimated(points: readonly (readonly number[])[], isJoint: boolean): State {
  const n = points[0]!.length
  const mean = points[0]!.map((_, axis) => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length)
  const covariance = Matrix.zeros(n, n)
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      if (!isJoint && row !== column) continue
      const products = points.map((point) => (point[row]! - mean[row]!) * (point[column]! - mean[column]!))
      covariance.set(row, column, products.reduce((sum, value) => sum + value, 0) / points.length)
    }
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, { assumeSymmetric: true })
  const shape = eigenvectorMatrix.clone()
  for (const [column, value] of realEigenvalues.entries())
    shape.mulColumn(column, Math.max(1e-5, Math.sqrt(Math.max(0, value))))
  return { mean, shape: shape.to1DArray() }
}
