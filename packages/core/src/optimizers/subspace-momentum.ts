import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { shaped } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { basisOf, beside } from '../parts/bases.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { type Subsets, scaledBySubsets, subsetDimensions } from '../parts/subsets.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * Subspace-Momentum: momentum in a subspace of the gradient and none beside it, with the second moments of Subset-Norm or others.
 *
 * ```text
 * P ← a subspace, m ← 0                                  steps 1, 1 + T, 1 + 2 T, ...
 * R ← Pᵀ g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) sum over the subset of g²          v ← v + sum with `accumulate`
 * d ← √(1 - β2ᵗ) / (1 - β1ᵗ) (P m + g - P R) / (√v + ε)         no factor with `biasCorrection: false`
 * θ ← (1 - η λ) (θ - η d)
 * ```
 *
 * `subspace` is that of the first left singular vectors (`singular`, default), that of the rows of the `largest` norm, or of some drawn
 * (`random`), always of the side that `side` says: the `shorter` (default; the inputs of a square matrix), as above where there are
 * fewer outputs than inputs, the `longer`, the `outputs` or the `inputs`. What has other than two dimensions has ordinary momentum. A
 * rank (r) above the shorter side counts as its length. `subsets` are the `lines` (default) or the `blocks` of `subsetSize` that
 * `subsetNorm` explains, single `elements`, which is Adam's second moment, or `none`: no second moment, and no √(1 - β2ᵗ).
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0; rank 128, period (T) 200. Decay is the rule's own, after the step;
 * `decay: 'decoupled'` is before it. State: `basis` (P), `m`, which has r numbers for each of the side that is not projected, and `v`, one
 * number per subset.
 *
 * As the paper says m starts anew with the subspace. The official code uses the old m once more, in the new subspace, and changes it at
 * steps 1, T, 2 T and so on, and takes the largest rows of the `longer` side. Its projection by a randomized Hadamard transform is not here.
 *
 * Nguyen, Nguyen 2024, Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced Training with
 * Convergence Guarantees, arXiv 2411.07120.
 */
export const subspaceMomentum = defineOptimizer({
  name: 'subspaceMomentum',
  title: 'Subspace-Momentum',
  family: 'matrix',
  paper: {
    title:
      'Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced Training with Convergence Guarantees',
    authors: 'Nguyen, Nguyen',
    year: 2024,
    arxiv: '2411.07120',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    period: stepCount(200),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: {
    rank: 128,
    subspace: 'singular' as 'singular' | 'largest' | 'random',
    side: 'shorter' as (typeof sides)[number],
    subsets: 'lines' as 'elements' | 'lines' | 'blocks' | 'none',
    subsetSize: 0,
    accumulate: false,
    biasCorrection: true,
  },
  choices: {
    subspace: ['singular', 'largest', 'random'],
    side: sides,
    subsets: ['lines', 'blocks', 'elements', 'none'],
  },
  limits: { subsetSize: [0] },
  state: {
    basis: basisSlot,
    m: projectedSlot,
    v: shaped((shape, { subsets, subsetSize }) => subsetDimensions(shape, subsets as Subsets, subsetSize as number), {
      when: ({ options }) => options.subsets !== 'none',
    }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options, shape, every } = context
    const { beta1, beta2 } = hyper
    const { subsets } = options
    const { isMatrix, rank, lay, restore } = subspaceOf(shape, options)
    const momentum = () => {
      const x = lay(g)
      if (!isMatrix) {
        const m = ema(state.m, x, beta1)
        return { whole: m.as(g), kept: { m } }
      }
      const basis = every(hyper.period, () => basisOf(x, rank, options.subspace, context), state.basis, 'first')
      const projected = basis.transposed().matmul(x)
      const m = ema(where(ageOf(t, hyper.period).equals(1), 0, state.m), projected, beta1)
      return { whole: restore(basis.matmul(m).plus(beside(x, basis, projected))), kept: { basis, m } }
    }
    const { whole, kept } = momentum()
    const first = biasCorrection(beta1, t)
    if (subsets === 'none') {
      return { direction: decayedAfter(options.biasCorrection ? whole.over(first) : whole, context), state: kept }
    }
    const { scaled, v } = scaledBySubsets(whole, subsets, context)
    const step = options.biasCorrection ? scaled.times(biasCorrection(beta2, t).sqrt().over(first)) : scaled
    return { direction: decayedAfter(step, context), state: { ...kept, v } }
  },
})
