import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * NovoGrad: momentum over gradients that are divided by the norm of their tensor.
 *
 * ```text
 * v ← β2 v + (1 - β2) ‖g‖²                 one number per tensor; v ← ‖g‖² while it is 0
 * m ← β1 m + g / (√v + ε) + λ θ            the sum times (1 - β1) with gradientAveraging
 * θ ← θ - η m
 * ```
 *
 * Defaults: η 0.02, β (0.95, 0.98), ε 1e-8, λ 0 (NVIDIA's code; the paper tunes λ near 1e-3). `amsgrad` divides by the
 * largest v so far. State: `m`, shaped like the parameter, and `v`, one number per tensor (`vMaximum` with `amsgrad`).
 *
 * No bias correction. Decay is the rule's own, inside the momentum, after the division.
 *
 * Ginsburg, Castonguay, Hrinchuk, Kuchaiev, Lavrukhin, Leary, Li, Nguyen, Zhang, Cohen 2019, Stochastic Gradient Methods
 * with Layer-wise Adaptive Moments for Training of Deep Networks, arXiv 1905.11286.
 */
export const novoGrad = defineOptimizer({
  name: 'novoGrad',
  title: 'NovoGrad',
  family: 'layerwise',
  paper: {
    title: 'Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep Networks',
    authors: 'Ginsburg, Castonguay, Hrinchuk, Kuchaiev, Lavrukhin, Leary, Li, Nguyen, Zhang, Cohen',
    year: 2019,
    arxiv: '1905.11286',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    beta1: decayRate(0.95),
    beta2: decayRate(0.98),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { gradientAveraging: false, amsgrad: false },
  state: { m: zeros(), v: scalar(0), vMaximum: scalar(0, { when: ({ options }) => options.amsgrad === true }) },
  decay: 'own',
  search: { learningRate: logUniform(1e-3, 1e-1), weightDecay: oneOf(0, 0.001, 0.01) },
  rule({ p, g, state, hyper, options, ownWeightDecay }) {
    const { beta1, beta2, epsilon } = hyper
    const square = g.square().sum()
    const average = state.v.times(beta2).plus(square.times(beta2.negated().plus(1)))
    const v = where(state.v.equals(0), square, average)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const normalized = g.over(vMaximum.sqrt().plus(epsilon)).plus(p.times(ownWeightDecay))
    const share = options.gradientAveraging ? beta1.negated().plus(1) : 1
    const m = state.m.times(beta1).plus(normalized.times(share))
    return { direction: m, state: options.amsgrad ? { m, v, vMaximum } : { m, v } }
  },
})
