import { defineOptimizer } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { randomizedSvd } from '../language/randomized-svd.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { plainAdam, projectedAdam } from '../parts/projected-adam.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * GaLore: Adam in a subspace of low rank, that of the largest singular values of the gradient at every `period`-th step.
 *
 * ```text
 * U S Vᵀ ← g, P ← first r columns of U     steps 1, 1 + T, 1 + 2 T, ...
 * R ← Pᵀ g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) R²
 * u ← α P m / (√v + ε)
 * θ ← (1 - η λ) (θ - η √(1 - β2ᵗ) / (1 - β1ᵗ) u)         no factor with `biasCorrection: false`
 * ```
 *
 * `side` says which side of a matrix is projected: the `shorter` (default; the inputs of a square one), as above where there are
 * fewer outputs than inputs, the `longer`, the `outputs` or the `inputs`. What has other than two dimensions is Adam. A rank (r) above
 * the shorter side counts as its length. Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, and of its examples:
 * rank 128, period (T) 200, scale (α) 0.25. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it. State: `basis`
 * (P), `m` and `v`, which have r numbers for each of the side that is not projected. A change of the subspace costs a singular value
 * decomposition. Leave embeddings and the last layer to another optimizer by `groups`.
 *
 * `decomposition: 'randomized'` finds the r columns from a random sketch of r + 10 of them, as GaLore 2 (Su, Gu, Xu, Tian, Zhao 2025,
 * arXiv 2504.20437) does to save most of that cost; how wide its sketch is and how often it is iterated is ours, that of
 * `randomizedSvd`.
 *
 * As in the official code the averages are not turned when the subspace changes. Its projection of both sides is not here: it
 * makes the first gradient diagonal, and steps of the rounding beside.
 *
 * Zhao, Zhang, Chen, Wang, Anandkumar, Tian 2024, GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection,
 * arXiv 2403.03507.
 */
export const gaLore = defineOptimizer({
  name: 'gaLore',
  title: 'GaLore',
  family: 'matrix',
  paper: {
    title: 'GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection',
    authors: 'Zhao, Zhang, Chen, Wang, Anandkumar, Tian',
    year: 2024,
    arxiv: '2403.03507',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    scale: nonNegative(0.25),
    period: stepCount(200),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: {
    rank: 128,
    side: 'shorter' as (typeof sides)[number],
    decomposition: 'exact' as 'exact' | 'randomized',
    biasCorrection: true,
  },
  choices: { side: sides, decomposition: ['exact', 'randomized'] },
  state: {
    basis: basisSlot,
    m: projectedSlot,
    v: projectedSlot,
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(0.25, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, state, hyper, options, shape, every, random } = context
    const { isMatrix, rank, lay, restore } = subspaceOf(shape, options)
    if (!isMatrix) return plainAdam(context)
    const x = lay(g)
    const found = () =>
      options.decomposition === 'exact'
        ? svd(x).left.firstColumns(rank)
        : randomizedSvd(x, { rank, random, seed: hyper.seed }).left
    const basis = every(hyper.period, found, state.basis, 'first')
    const { u, correction, moments } = projectedAdam(basis.transposed().matmul(x), context)
    const back = restore(basis.matmul(u)).times(hyper.scale)
    return { direction: decayedAfter(back.times(correction), context), state: { basis, ...moments } }
  },
})
