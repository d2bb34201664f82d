import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { adamRule } from '../parts/adam-rule.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdamW: {@link adam} with weight decay outside the adaptive step.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← (1 - η λ) θ - η (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of PyTorch: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0.01. State: `m` and `v`, shaped like the parameter, and
 * `vMaximum` with `amsgrad: true`, the largest v so far.
 *
 * The paper multiplies λ by the schedule's factor only (`η_t / η_max`); PyTorch, which this follows, by the whole learning
 * rate. For decay that does not depend on the learning rate: `decay: 'independent'`.
 *
 * Loshchilov, Hutter 2017, Decoupled Weight Decay Regularization, arXiv 1711.05101.
 */
export const adamW = defineOptimizer({
  name: 'adamW',
  title: 'AdamW',
  family: 'adaptive',
  paper: {
    title: 'Decoupled Weight Decay Regularization',
    authors: 'Loshchilov, Hutter',
    year: 2017,
    arxiv: '1711.05101',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
  },
  options: { amsgrad: false },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule: adamRule,
})
