import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * diffGrad: Adam that steps up to twice as far where the gradient changes as where it stays.
 *
 * ```text
 * ξ ← 1 / (1 + exp(-|g₋ - g|))             g₋ the previous gradient, 0 at the first step
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * θ ← θ - η ξ (m / (1 - β1ᵗ)) √(1 - β2ᵗ) / (√v + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0, coupled decay. State: `m`, `v` and `previous`, shaped
 * like the parameter.
 *
 * This is the authors' second version; in the first, g₋ is g itself and ξ always 1/2. ε is added to √v before bias
 * correction, and g₋ contains coupled decay, as there.
 *
 * Dubey, Chakraborty, Roy, Mukherjee, Singh, Chaudhuri 2019, diffGrad: An Optimization Method for Convolutional Neural
 * Networks, arXiv 1909.11015.
 */
export const diffGrad = defineOptimizer({
  name: 'diffGrad',
  title: 'diffGrad',
  family: 'adaptive',
  paper: {
    title: 'diffGrad: An Optimization Method for Convolutional Neural Networks',
    authors: 'Dubey, Chakraborty, Roy, Mukherjee, Singh, Chaudhuri',
    year: 2019,
    arxiv: '1909.11015',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), previous: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const friction = state.previous.minus(g).abs().sigmoid()
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const direction = m.over(v.sqrt().plus(epsilon)).times(friction).times(correction)
    return { direction, state: { m, v, previous: g } }
  },
})
