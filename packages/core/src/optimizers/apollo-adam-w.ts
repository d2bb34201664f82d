import { defineOptimizer } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  seed,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { scalar } from '../language/slots.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { limitedGrowth } from '../parts/limited-growth.ts'
import { plainAdam, projectedAdam } from '../parts/projected-adam.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * APOLLO: the gradient itself, scaled by channels or as a whole as Adam would scale a random projection of it.
 *
 * ```text
 * P ← N(0, 1 / r), r columns                              steps 1, 1 + T, 1 + 2 T, ...
 * R ← Pᵀ g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) R²
 * u ← m / (√v + ε)
 * s ← g ‖u‖ / (‖R‖ + 1e-8)                                norms of columns; of all with `scaling: 'tensor'`
 * s ← s min(1, γ (φ + 1e-8) / ‖s‖), φ ← ‖s‖               no limit while φ is 0, nor with `limitGrowth: false`
 * θ ← (1 - η λ) (θ - η √(1 - β2ᵗ) / (1 - β1ᵗ) √α s)       no factor of β with `biasCorrection: false`
 * ```
 *
 * APOLLO-mini is rank 1, `scaling: 'tensor'` and scale 128, and keeps about as little as SGD. `projection: 'singular'` takes the first
 * left singular vectors of the gradient instead, as GaLore does.
 *
 * `side` says which side of a matrix is projected: the `shorter` (default; the inputs of a square one), as above where there are
 * fewer outputs than inputs, the `longer`, the `outputs` or the `inputs`. What has other than two dimensions is Adam. A rank (r) above
 * the shorter side counts as its length. Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, scale (α) 1, period (T)
 * 200, growth (γ) 1.01; rank 128. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it. State: `basis` (P), `m`
 * and `v`, which have r numbers for each of the side that is not projected, and `length` (φ).
 *
 * As in the official code the averages are not turned when the projection changes. It does not limit the first step only: a gradient of
 * zeros holds the later ones down. Not to be taken for Apollo (Ma 2020), which is `apollo`.
 *
 * Zhu, Zhang, Cong, Liu, Park, Chandra, Long, Pan, Wang, Lee 2024, APOLLO: SGD-like Memory, AdamW-level Performance,
 * arXiv 2412.05270.
 */
export const apolloAdamW = defineOptimizer({
  name: 'apolloAdamW',
  title: 'APOLLO-AdamW',
  family: 'matrix',
  paper: {
    title: 'APOLLO: SGD-like Memory, AdamW-level Performance',
    authors: 'Zhu, Zhang, Cong, Liu, Park, Chandra, Long, Pan, Wang, Lee',
    year: 2024,
    arxiv: '2412.05270',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    scale: nonNegative(1),
    growth: positive(1.01),
    period: stepCount(200),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: {
    rank: 128,
    side: 'shorter' as (typeof sides)[number],
    projection: 'random' as 'random' | 'singular',
    scaling: 'channel' as 'channel' | 'tensor',
    limitGrowth: true,
    biasCorrection: true,
  },
  choices: { side: sides, projection: ['random', 'singular'], scaling: ['channel', 'tensor'] },
  state: {
    basis: basisSlot,
    m: projectedSlot,
    v: projectedSlot,
    length: scalar(0, { when: ({ shape, options }) => shape.rank === 2 && options.limitGrowth === true }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(1, 4, 16), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, state, hyper, options, shape, every, random } = context
    const { isMatrix, rank, basis: dimensions, lay, restore } = subspaceOf(shape, options)
    if (!isMatrix) return plainAdam(context)
    const x = lay(g)
    const drawn = () => random.normal({ seed: hyper.seed, dimensions }).over(Math.sqrt(rank))
    const found = () => svd(x).left.firstColumns(rank)
    const basis = every(hyper.period, options.projection === 'random' ? drawn : found, state.basis, 'first')
    const projected = basis.transposed().matmul(x)
    const { u, correction, moments } = projectedAdam(projected, context)
    const axis = options.scaling === 'channel' ? 'rows' : 'tensor'
    const scaled = x.times(u.norm(axis).over(projected.norm(axis).plus(1e-8)))
    const limit = options.limitGrowth ? limitedGrowth(scaled.norm(), state.length, hyper.growth) : undefined
    const step = restore(limit ? scaled.times(limit.share) : scaled).times(hyper.scale.sqrt())
    const length = limit ? { length: limit.length } : {}
    return { direction: decayedAfter(step.times(correction), context), state: { basis, ...moments, ...length } }
  },
})
