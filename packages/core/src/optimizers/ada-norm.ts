import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdaNorm on Adam (AdamNorm): gradients that are shorter than usual are stretched to the usual length before they enter
 * the momentum.
 *
 * ```text
 * e ← γ e + (1 - γ) ‖g‖                     one number per tensor
 * s ← g max(1, e / ‖g‖)
 * m ← β1 m + (1 - β1) s
 * v ← β2 v + (1 - β2) g² + ε
 * θ ← θ - η (m / (1 - β1ᵗ)) / (√v / √(1 - β2ᵗ) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), γ 0.95, ε 1e-8, λ 0 coupled. State: `m` and `v`, shaped like the
 * parameter, `vMaximum` with `amsgrad: true`, and `gradientNorm` (e), one number per tensor.
 *
 * As in the official code ε is added to v at every step, as in AdaBelief (the paper adds it to the root only); with
 * `amsgrad` it is added to the largest v instead. The official `fixed_decay` is `decay: 'independent'`. The paper puts the
 * same correction into diffGrad, RAdam and AdaBelief. pytorch_optimizer's AdaNorm computes e without keeping it, so that
 * nothing is ever stretched.
 *
 * Dubey, Singh, Chaudhuri 2022, AdaNorm: Adaptive Gradient Norm Correction based Optimizer for CNNs, arXiv 2210.06364.
 */
export const adaNorm = defineOptimizer({
  name: 'adaNorm',
  title: 'AdaNorm',
  family: 'adaptive',
  paper: {
    title: 'AdaNorm: Adaptive Gradient Norm Correction based Optimizer for CNNs',
    authors: 'Dubey, Singh, Chaudhuri',
    year: 2022,
    arxiv: '2210.06364',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    normDecay: decayRate(0.95),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { amsgrad: false },
  state: {
    m: zeros(),
    v: zeros(),
    vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }),
    gradientNorm: scalar(0),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), normDecay: oneOf(0.9, 0.95, 0.99) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon, normDecay } = hyper
    const norm = g.norm()
    const gradientNorm = ema(state.gradientNorm, norm, normDecay)
    const stretch = where(norm.isGreaterThan(0), gradientNorm.over(norm).maximum(1).limited(), 1)
    const m = ema(state.m, g.times(stretch), beta1)
    const average = emaOfSquare(state.v, g, beta2)
    const v = options.amsgrad ? average : average.plus(epsilon)
    const largest = options.amsgrad ? state.vMaximum.maximum(v).plus(epsilon) : v
    const root = largest.sqrt().over(biasCorrection(beta2, t).sqrt())
    const direction = m.over(biasCorrection(beta1, t)).over(root.plus(epsilon))
    return { direction, state: { m, v, gradientNorm, ...(options.amsgrad ? { vMaximum: largest } : {}) } }
  },
})
