import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { positiveNegative } from '../parts/positive-negative.ts'

/**
 * PNM: momentum with more gradient noise at the same mean, from a positive weight on one average of gradients and a
 * negative weight on another.
 *
 * ```text
 * mₜ ← β1² mₜ₋₂ + (1 - β1²) g
 * θ  ← (1 - η λ) θ - η ((1 + β0) mₜ - β0 mₜ₋₁) / √((1 + β0)² + β0²)
 * ```
 *
 * Defaults of the official code: β1 0.9, β0 1, λ 0 decoupled; its η is required, 0.1 here. State: `odd` and `even`, shaped
 * like the parameter: the averages of every second gradient, of which a step writes one.
 *
 * Xie, Yuan, Zhu, Sugiyama 2021, Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve
 * Generalization, arXiv 2103.17182.
 */
export const pnm = defineOptimizer({
  name: 'pnm',
  title: 'PNM',
  family: 'momentum',
  paper: {
    title: 'Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve Generalization',
    authors: 'Xie, Yuan, Zhu, Sugiyama',
    year: 2021,
    arxiv: '2103.17182',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    beta1: decayRate(0.9),
    beta0: nonNegative(1),
    weightDecay: nonNegative(0),
  },
  state: { odd: zeros(), even: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), beta0: oneOf(0, 0.5, 1) },
  rule(context) {
    const { momentum, state } = positiveNegative(context)
    return { direction: momentum, state }
  },
})
