import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * QHAdam: Adam in which both moments are mixed with the current gradient and its square (quasi-hyperbolic).
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← θ - η ((1 - ν1) g + ν1 m / (1 - β1ᵗ)) / (√((1 - ν2) g² + ν2 v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.995, 0.999), ν (0.7, 1), ε 1e-8, λ 0, coupled decay
 * (`decouple_weight_decay` is `decay: 'decoupled'`). ν (1, 1) is Adam, ν (0, 1) RMSProp. State: `m` and `v`, shaped like
 * the parameter.
 *
 * Ma, Yarats 2018, Quasi-hyperbolic momentum and Adam for deep learning, arXiv 1810.06801.
 */
export const qhAdam = defineOptimizer({
  name: 'qhAdam',
  title: 'QHAdam',
  family: 'adaptive',
  paper: {
    title: 'Quasi-hyperbolic momentum and Adam for deep learning',
    authors: 'Ma, Yarats',
    year: 2018,
    arxiv: '1810.06801',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.995),
    beta2: decayRate(0.999),
    nu1: real(0.7),
    nu2: fraction(1),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), nu1: oneOf(0.7, 0.8, 0.95) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta1, beta2, nu1, nu2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    // Root by root, so that the square of a huge gradient, whose weight is usually 0, is not formed.
    const correction2 = biasCorrection(beta2, t)
    const numerator = ema(m.over(biasCorrection(beta1, t)), g, nu1)
    const present = g.times(nu2.negated().plus(1).sqrt()).square()
    const root = v.times(nu2).plus(present.times(correction2)).sqrt().over(correction2.sqrt())
    return { direction: numerator.over(root.plus(epsilon)), state: { m, v } }
  },
})
