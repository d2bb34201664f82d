import { defineOptimizer } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { scalar } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { limitedGrowth } from '../parts/limited-growth.ts'
import { plainAdam, projectedAdam } from '../parts/projected-adam.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * Fira: GaLore that also uses what its subspace leaves out, scaled as Adam scales what lies within it.
 *
 * ```text
 * U S Vᵀ ← g, P ← first r columns of U                    steps 1, 1 + T, 1 + 2 T, ...
 * R ← Pᵀ g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) R²
 * u ← m / (√v + ε)
 * s ← (g - α P R) ‖u‖ / (‖R‖ + 1e-8)                      norms of columns
 * s ← s min(1, γ (φ + 1e-8) / ‖s‖), φ ← ‖s‖               no limit while φ is 0
 * θ ← (1 - η λ) (θ - η √(1 - β2ᵗ) / (1 - β1ᵗ) (α P u + s))         no factor with `biasCorrection: false`
 * ```
 *
 * `side` says which side of a matrix is projected: the `shorter` (default; the inputs of a square one), as above where there are
 * fewer outputs than inputs, the `longer`, the `outputs` or the `inputs`. What has other than two dimensions is Adam. A rank (r) above
 * the shorter side counts as its length. Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, scale (α) 1, period (T)
 * 200, growth (γ) 1.01; rank 128. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it. State: `basis` (P), `m`
 * and `v`, which have r numbers for each of the side that is not projected, and `length` (φ). A change of the subspace costs a
 * singular value decomposition.
 *
 * As in the official code α multiplies P R, so that another one than 1 leaves a part of it in s, and the averages are not turned
 * when the subspace changes. The official code does not limit the first step only: a gradient of zeros holds the later ones down.
 *
 * Chen, Feng, Li, Lai, Yue, Yuan, Wang 2024, Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?,
 * arXiv 2410.01623.
 */
export const fira = defineOptimizer({
  name: 'fira',
  title: 'Fira',
  family: 'matrix',
  paper: {
    title: 'Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?',
    authors: 'Chen, Feng, Li, Lai, Yue, Yuan, Wang',
    year: 2024,
    arxiv: '2410.01623',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    scale: nonNegative(1),
    growth: positive(1.01),
    period: stepCount(200),
    weightDecay: nonNegative(0),
  },
  options: { rank: 128, side: 'shorter' as (typeof sides)[number], biasCorrection: true },
  choices: { side: sides },
  state: {
    basis: basisSlot,
    m: projectedSlot,
    v: projectedSlot,
    length: scalar(0, { when: ({ shape }) => shape.rank === 2 }),
  },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(0.25, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, state, hyper, options, shape, every } = context
    const { isMatrix, rank, lay, restore } = subspaceOf(shape, options)
    if (!isMatrix) return plainAdam(context)
    const x = lay(g)
    const basis = every(hyper.period, () => svd(x).left.firstColumns(rank), state.basis, 'first')
    const projected = basis.transposed().matmul(x)
    const { u, correction, moments } = projectedAdam(projected, context)
    const back = (value: Value) => basis.matmul(value).times(hyper.scale)
    // A basis of the whole side leaves nothing out.
    const rest = rank === x.rows ? x.times(hyper.scale.negated().plus(1)) : x.minus(back(projected))
    const scaled = rest.times(u.norm('rows').over(projected.norm('rows').plus(1e-8)))
    const { share, length } = limitedGrowth(scaled.norm(), state.length, hyper.growth)
    const step = restore(back(u).plus(scaled.times(share)))
    return { direction: decayedAfter(step.times(correction), context), state: { basis, ...moments, length } }
  },
})
