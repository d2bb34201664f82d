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
import { type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { basisOf } from '../parts/bases.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { plainAdam, projectedAdam } from '../parts/projected-adam.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * Grass: Adam on the few rows of a matrix whose gradients are largest, or that are drawn.
 *
 * ```text
 * B ← r rows of the identity, m ← 0, v ← 0, k ← 0      steps 1, 1 + T, 1 + 2 T, ...
 * k ← k + 1
 * R ← B g
 * m ← β1 m + (1 - β1) R
 * v ← β2 v + (1 - β2) R²
 * θ ← (1 - η λ) (θ - η √(1 - β2ᵏ) / (1 - β1ᵏ) α Bᵀ m / (√v + ε))         no factor with `biasCorrection: false`
 * ```
 *
 * `rows` says which are chosen: the `largest` by their norm (default), or some drawn without putting back, with the probability
 * of their norm (`proportional`) or evenly (`random`). `side` says what a row is: of the `shorter` side of a matrix (default; the inputs
 * of a square one), the `longer`, the `outputs` or the `inputs`. What has other than two dimensions is Adam. A rank (r) above the shorter
 * side counts as its length. Defaults: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, rank 128, period (T) 200, scale (α) 0.25, those of GaLore,
 * with which the paper compares. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it. State: `basis` (Bᵀ), `m` and
 * `v`, which have r numbers for each of the side that is not projected.
 *
 * The paper's variants without rescaling; those that draw with putting back divide chosen rows by √(r q), q their probability. Its warm-up
 * after each change is the user's, as a schedule. Choosing by a product costs what the projection of GaLore costs.
 *
 * Muhamed, Li, Woodruff, Diab, Smith 2024, Grass: Compute Efficient Low-Memory LLM Training with Structured Sparse Gradients,
 * arXiv 2406.17660.
 */
export const grass = defineOptimizer({
  name: 'grass',
  title: 'Grass',
  family: 'matrix',
  paper: {
    title: 'Grass: Compute Efficient Low-Memory LLM Training with Structured Sparse Gradients',
    authors: 'Muhamed, Li, Woodruff, Diab, Smith',
    year: 2024,
    arxiv: '2406.17660',
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
    rows: 'largest' as 'largest' | 'proportional' | 'random',
    side: 'shorter' as (typeof sides)[number],
    biasCorrection: true,
  },
  choices: { rows: ['largest', 'proportional', 'random'], side: sides },
  state: { basis: basisSlot, m: projectedSlot, v: projectedSlot },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(0.25, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options, shape, every } = context
    const { isMatrix, rank, lay, restore } = subspaceOf(shape, options)
    if (!isMatrix) return plainAdam(context)
    const x = lay(g)
    const basis = every(hyper.period, () => basisOf(x, rank, options.rows, context), state.basis, 'first')
    const age = ageOf(t, hyper.period)
    const begun = (old: Value) => where(age.equals(1), 0, old)
    const own = { ...context, t: age, state: { m: begun(state.m), v: begun(state.v) } }
    const { u, correction, moments } = projectedAdam(basis.transposed().matmul(x), own)
    const step = restore(basis.matmul(u)).times(hyper.scale)
    return { direction: decayedAfter(step.times(correction), context), state: { basis, ...moments } }
  },
})
