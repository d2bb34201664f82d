import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdaBound: Adam whose step sizes are clipped between two bounds that close in on those of SGD.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * s ← clip(η √(1 - β2ᵗ) / (1 - β1ᵗ) / (√v + ε),  α (1 - 1 / (γ t + 1)),  α (1 + 1 / (γ t)))
 * θ ← θ - s m                               α is finalLearningRate
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), α 0.1, γ 1e-3, ε 1e-8, λ 0 coupled. `amsbound: true` is AMSBound:
 * it divides by the largest v so far. The official AdaBoundW is `decay: 'independent'`. State: `m` and `v`, shaped like
 * the parameter, and `vMaximum` with `amsbound`.
 *
 * ε is added before bias correction, as in the official code. The official code multiplies α by the ratio of the learning
 * rate to its first value; here α stays as it is given: give it a schedule too when it shall follow.
 *
 * Luo, Xiong, Liu, Sun 2019, Adaptive Gradient Methods with Dynamic Bound of Learning Rate, arXiv 1902.09843.
 */
export const adaBound = defineOptimizer({
  name: 'adaBound',
  title: 'AdaBound',
  family: 'adaptive',
  paper: {
    title: 'Adaptive Gradient Methods with Dynamic Bound of Learning Rate',
    authors: 'Luo, Xiong, Liu, Sun',
    year: 2019,
    arxiv: '1902.09843',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    finalLearningRate: nonNegative(0.1),
    gamma: nonNegative(1e-3),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { amsbound: false },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsbound === true }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), finalLearningRate: oneOf(0.01, 0.1, 1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { learningRate, beta1, beta2, finalLearningRate, gamma, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const vMaximum = options.amsbound ? state.vMaximum.maximum(v) : v
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    // The bounds are those of the paper over η, which the framework multiplies with.
    const final = where(learningRate.isGreaterThan(0), finalLearningRate.over(learningRate), 0)
    const lower = final.times(gamma.times(t).plus(1).power(-1).negated().plus(1))
    const upper = final.times(gamma.times(t).power(-1).plus(1))
    const stepSize = correction.over(vMaximum.sqrt().plus(epsilon)).maximum(lower).minimum(upper)
    return { direction: m.times(stepSize), state: options.amsbound ? { m, v, vMaximum } : { m, v } }
  },
})
