import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { adamRule } from '../parts/adam-rule.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Adam: momentum divided by the root of an average of squared gradients, both corrected for their start at zero.
 *
 * ```text
 * g ← g + λ θ                              weight decay, coupled
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← θ - η (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of the paper and of PyTorch: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0. State: `m` and `v`, shaped like the
 * parameter. For decoupled decay take {@link adamW}.
 *
 * `amsgrad: true` (Reddi, Kale, Kumar 2018, arXiv 1904.09237) divides by the largest v so far, kept in `vMaximum`. As in
 * PyTorch the maximum is over v and is bias-corrected afterwards; optax takes it over the corrected v, the paper corrects
 * nothing.
 *
 * Kingma, Ba 2014, Adam: A Method for Stochastic Optimization, arXiv 1412.6980.
 */
export const adam = defineOptimizer({
  name: 'adam',
  title: 'Adam',
  family: 'adaptive',
  paper: {
    title: 'Adam: A Method for Stochastic Optimization',
    authors: 'Kingma, Ba',
    year: 2014,
    arxiv: '1412.6980',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { amsgrad: false },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule: adamRule,
})
