import { positiveUpTo, wholeFrom } from '../check.ts'
import { generational } from './parts/generations.ts'
import {
  beginMatrixAdaptation,
  type MatrixAdaptation,
  sampleMatrixAdaptation,
  updateMatrixAdaptation,
} from './parts/matrix-adaptation.ts'

/** Options of `lmMaEs`. */
export interface LmMaEsOptions {
  /** Points of a generation, and directions remembered. Default: `4 + floor(3 ln n)` for n numbers. */
  readonly population?: number
  /** Deviation at the start, in coordinates from 0 to 1. Default: 0.3. */
  readonly sigma?: number
}

/**
 * LM-MA-ES: an evolution strategy for thousands of numbers that remembers `O(log n)` directions in place of a covariance (Loshchilov,
 * Glasmachers, Beyer 2017, arXiv 1705.06693). Choices are drawn from probabilities of their own.
 *
 * @throws RangeError for a population below 2, and for a sigma that is not above 0 and at most 1
 */
export function lmMaEs(options: LmMaEsOptions = {}) {
  const sigma = positiveUpTo('lmMaEs', 'sigma', options.sigma ?? 0.3, 1)
  if (options.population !== undefined) wholeFrom('lmMaEs', 'population', options.population, 2)
  return generational<MatrixAdaptation>('lmMaEs', {
    begin: (axes) =>
      beginMatrixAdaptation(
        axes.map(() => 0.5),
        sigma,
        options.population,
      ),
    population: ({ population }) => population,
    sample: sampleMatrixAdaptation,
    update: (state, points) =>
      updateMatrixAdaptation(
        state,
        points.map(({ sample }) => sample),
      ),
  })
}
