import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { positiveNegative } from '../parts/positive-negative.ts'

/**
 * AdaPNM: AMSGrad with positive-negative momentum in place of momentum. See {@link pnm}.
 *
 * ```text
 * mₜ ← β1² mₜ₋₂ + (1 - β1²) g
 * v  ← β2 v + (1 - β2) g²
 * v̂  ← max(v̂, v)
 * θ  ← (1 - η λ) θ - η ((1 + β0) mₜ - β0 mₜ₋₁) / √((1 + β0)² + β0²) / (1 - β1ᵗ) / (√v̂ / √(1 - β2ᵗ) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), β0 1, ε 1e-8, λ 0 decoupled, amsgrad true. State: `odd`, `even`,
 * `v` and, with `amsgrad`, `vMaximum` (v̂), shaped like the parameter.
 *
 * Xie, Yuan, Zhu, Sugiyama 2021, Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve
 * Generalization, arXiv 2103.17182.
 */
export const adaPNM = defineOptimizer({
  name: 'adaPNM',
  title: 'AdaPNM',
  family: 'adaptive',
  paper: {
    title: 'Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve Generalization',
    authors: 'Xie, Yuan, Zhu, Sugiyama',
    year: 2021,
    arxiv: '2103.17182',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    beta0: nonNegative(1),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { amsgrad: true },
  state: {
    odd: zeros(),
    even: zeros(),
    v: zeros(),
    vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta0: oneOf(0, 0.5, 1) },
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options } = context
    const { beta1, beta2, epsilon } = hyper
    const { momentum, state: averages } = positiveNegative(context)
    const v = emaOfSquare(state.v, g, beta2)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const root = vMaximum.sqrt().over(biasCorrection(beta2, t).sqrt())
    const direction = momentum.over(biasCorrection(beta1, t)).over(root.plus(epsilon))
    return { direction, state: { ...averages, v, ...(options.amsgrad ? { vMaximum } : {}) } }
  },
})
