import { defineOptimizer } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { decayedAfter } from '../parts/decayed-after.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { basisSlot, projectedSlot, sides, subspaceOf } from '../parts/subspace.ts'

/**
 * Conda: Adam in the basis of the singular vectors of its first moment, in which the second moment is taken and the step is made.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * U S Vᵀ ← m, P ← U                     steps 1, 1 + T, 1 + 2 T, ...
 * v ← β2 v + (1 - β2) (Pᵀ g)²
 * θ ← (1 - η λ) (θ - η √(1 - β2ᵗ) / (1 - β1ᵗ) α P (Pᵀ m) / (√v + ε))         no factor of β with `biasCorrection: false`
 * ```
 *
 * `side` says which side of a matrix is projected: the `shorter` (default; the inputs of a square one), as above where there are
 * fewer outputs than inputs, the `longer`, the `outputs` or the `inputs`; of a longer one the basis has as many vectors as the other has
 * dimensions. What has other than two dimensions is Adam without α. Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ
 * 0, period (T) 2000, scale (α) 1. Decay is the rule's own, after the step; `decay: 'decoupled'` is before it. State: `basis` (P), of the
 * projected side by itself, `m`, shaped like the parameter, and `v`, in the basis. A change of the basis costs a singular value
 * decomposition.
 *
 * As in the official code the second moment is not turned when the basis changes. Its projection of both sides, for square matrices,
 * is not here: it makes the first moment diagonal, and steps of the rounding beside.
 *
 * Wang, Zhou, Dong, Li, Li, Zhou, Lao, Fang, Lin 2025, Conda: Column-Normalized Adam for Training Large Language Models Faster,
 * arXiv 2509.24218.
 */
export const conda = defineOptimizer({
  name: 'conda',
  title: 'Conda',
  family: 'matrix',
  paper: {
    title: 'Conda: Column-Normalized Adam for Training Large Language Models Faster',
    authors: 'Wang, Zhou, Dong, Li, Li, Zhou, Lao, Fang, Lin',
    year: 2025,
    arxiv: '2509.24218',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    scale: nonNegative(1),
    period: stepCount(2000),
    weightDecay: nonNegative(0),
  },
  options: { side: 'shorter' as (typeof sides)[number], biasCorrection: true },
  choices: { side: sides },
  state: { basis: basisSlot, m: zeros(), v: projectedSlot },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 1e-1), scale: oneOf(0.25, 1), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options, shape, every } = context
    const { beta1, beta2, epsilon } = hyper
    const { isMatrix, lay, restore } = subspaceOf(shape, options)
    const m = ema(state.m, g, beta1)
    const basis = isMatrix ? every(hyper.period, () => svd(lay(m)).left, state.basis, 'first') : undefined
    const project = (value: typeof g) => (basis ? basis.transposed().matmul(lay(value)) : lay(value))
    const v = emaOfSquare(state.v, project(g), beta2)
    const u = project(m).over(v.sqrt().plus(epsilon))
    const step = basis ? restore(basis.matmul(u)).times(hyper.scale) : u.as(g)
    const corrected = options.biasCorrection
      ? step.times(biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t)))
      : step
    return { direction: decayedAfter(corrected, context), state: { m, v, ...(basis ? { basis } : {}) } }
  },
})
