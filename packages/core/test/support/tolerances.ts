/** How far float32 may be from the reference in one step of an optimizer, and settings under which rounding decides nothing. */

import {
  adalite,
  describe as describeOptimizer,
  exAdam,
  type Optimizer,
  type OptimizerFactory,
  ranger25,
} from 'fallline'
import type { Tolerance } from './compare.ts'
import { distributedShampooSettings, make, type Variant, wrappers } from './variants.ts'

/**
 * One step from equal numbers. Float32 rounds every operation to 6e-8 of its result; rules chain some ten of them, and
 * subtract averages. Newton-Schulz amplifies what float32 loses in small singular values. EXAdam has m² / (m² + 1e-8), which
 * amplifies what it loses in a small m. Sums over all tensors cancel.
 */
export function stepTolerance(factory: OptimizerFactory): Tolerance {
  if (factory === (exAdam as unknown)) return { relative: 4e-7, scale: 4e-5 }
  // Divides twice by what is left of a gradient that is orthogonal to the parameter.
  if (factory === (ranger25 as unknown)) return { relative: 4e-7, scale: 2e-5 }
  // The quotient of sums that cancel.
  if (factory === (adalite as unknown)) return { relative: 4e-7, scale: 6e-4 }
  const { kind } = describeOptimizer(factory)
  // Products over all tensors cancel.
  return { relative: 4e-7, scale: kind === 'matrix' ? 3e-4 : kind === 'global' ? 6e-5 : 4e-6 }
}

/**
 * TRAC and Mechanic keep the difference of two parameters, rounded as these are; OrthoGrad makes products 0; gradients that are limited
 * to the same norm step after step differ by rounding alone, which is what rules that keep differences then keep. What is left
 * above the threshold of a simplex may be far smaller than the numbers it was taken from.
 */
export const cancelling: Readonly<Record<string, number>> = {
  trac: 1.2e-7,
  mechanize: 1.2e-7,
  orthoGrad: 1.2e-7,
  adaptiveGradientClipping: 1.2e-7,
  stabilizeGradients: 1.2e-7,
  projectOntoSimplex: 1.2e-6,
  'projectOntoSimplex of outputs': 1.2e-6,
}

/**
 * AdaMuon divides the elements of an orthogonal matrix by their size; those that are 0 but for rounding are told from others by
 * epsilon alone. Powers of singular matrices of Shampoo are as large as its epsilon is small. Adalite's sums over rows cancel where
 * its weights are even. FOCUS takes signs of differences from an average. The ranks are less than the sides of the matrices;
 * Subspace-Momentum divides what is 0 but for the rounding of a projection by the root of a square that is 0.
 */
const settingsFor: Readonly<Record<string, Variant['settings']>> = {
  adaMuon: { epsilon: 1e-3 },
  adalite: { temperature: 3e-3 },
  alice: { rank: 2 },
  apolloAdamW: { rank: 2 },
  dion: { rank: 2 },
  distributedShampoo: distributedShampooSettings,
  fira: { rank: 2 },
  focus: { gamma: 0.01 },
  gaLore: { rank: 2 },
  grass: { rank: 2 },
  shampoo: { epsilon: 1e-3 },
  subspaceMomentum: { rank: 2, epsilon: 1e-2 },
}

/**
 * True where the first step's rounding says what comes of equal eigenvalues: their ranks, of statistics that begin as a multiple of I, and
 * the vectors of those that are 0.
 */
export const freeRanks = ({ spreads }: Variant['settings']): boolean => spreads === true

/**
 * How far some trajectories in float32 may be apart, relative to the largest element: where the rows of a matrix are fewer than its columns,
 * vectors of eigenvalues that are 0 are free, and rounding chooses them.
 */
export const freeVectors: Readonly<Record<string, number>> = { soap: 2e-2, sPlus: 5e-2 }

/** An optimizer under such settings, within a wrapper by name. */
export function comparable(factory: OptimizerFactory, settings: Variant['settings'], wrap: string): Optimizer {
  const own = make(factory, { ...settingsFor[factory.definition.name], ...settings })
  return wrappers[wrap]?.(own) ?? own
}
