import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Ano: the sign of the momentum says where to go, the size of the gradient how far.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) sign(g² - v) g²
 * θ ← (1 - η λ) θ - η |g| sign(m) / √(v / (1 - β2ᵗ) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-4, β (0.92, 0.99), ε 1e-8, λ 0 decoupled. State: `m` and `v`, shaped like the
 * parameter.
 *
 * `logarithmic: true` is Anolog: β1 = 1 - 1 / ln max(2, t), and v is not corrected; its official β2 is 0.999.
 *
 * As in the official code ε is inside the root. v may fall below 0 for β2 under ½; it is held at 0 here. In Anolog β1 is
 * below 0 for two steps, as in the official code. pytorch_optimizer has ε outside the root and compares g² with β2 v.
 *
 * Kegreisz 2025, Ano: Faster is Better in Noisy Landscapes, arXiv 2508.18258.
 */
export const ano = defineOptimizer({
  name: 'ano',
  title: 'Ano',
  family: 'sign',
  paper: {
    title: 'Ano: Faster is Better in Noisy Landscapes',
    authors: 'Kegreisz',
    year: 2025,
    arxiv: '2508.18258',
  },
  hyper: {
    learningRate: nonNegative(1e-4),
    beta1: decayRate(0.92),
    beta2: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { logarithmic: false },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), beta1: oneOf(0.9, 0.92, 0.95) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta2, epsilon } = hyper
    const beta1 = options.logarithmic ? t.maximum(2).log().power(-1).negated().plus(1) : hyper.beta1
    const m = ema(state.m, g, beta1)
    const square = g.square().limited()
    const change = square.times(square.minus(state.v).sign()).times(beta2.negated().plus(1))
    const v = state.v.times(beta2).plus(change).maximum(0)
    const vHat = options.logarithmic ? v : v.over(biasCorrection(beta2, t))
    return { direction: g.abs().times(m.sign()).over(vHat.plus(epsilon).sqrt()), state: { m, v } }
  },
})
