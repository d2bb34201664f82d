import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { biasCorrection } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { warmedUp } from '../parts/warmed-up.ts'

/**
 * Simplified AdEMAMix: AdEMAMix with one momentum, a sum, beside the gradient itself.
 *
 * ```text
 * m ← β1ₜ m + g
 * v ← β2 v + (1 - β2) g²
 * θ ← (1 - η λ) θ - η (α g + m) / (√(v / (1 - β2ᵗ)) + ε)
 *
 * β1ₜ: from minimumBeta1 to β1 over beta1Warmup steps, linear in the half-life ln ½ / ln β
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.99, 0.95), α 0, minimumBeta1 0.9, no warm-up (0), ε 1e-8, λ 0 decoupled. m is
 * a sum: a learning rate of AdamW is to be multiplied by about 1 - β1. `normalize: true` divides m by the sum of its
 * weights, 1 + β1 + β1² + ... (the official `bias_correction1`), with α g. State: `m` and `v`, shaped like the
 * parameter, and `weight` with `normalize`.
 *
 * pytorch_optimizer averages m, and divides by √(1 - β2ᵗ) twice where the official code divides v by 1 - β2ᵗ.
 *
 * Morwani, Vyas, Zhang, Kakade 2025, Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD Variants,
 * arXiv 2502.02431.
 */
export const simplifiedAdEMAMix = defineOptimizer({
  name: 'simplifiedAdEMAMix',
  title: 'Simplified AdEMAMix',
  family: 'adaptive',
  paper: {
    title: 'Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD Variants',
    authors: 'Morwani, Vyas, Zhang, Kakade',
    year: 2025,
    arxiv: '2502.02431',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.99),
    beta2: decayRate(0.95),
    alpha: nonNegative(0),
    minimumBeta1: decayRate(0.9),
    beta1Warmup: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { normalize: false },
  state: { m: zeros(), v: zeros(), weight: scalar(0, { when: ({ options }) => options.normalize === true }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-6, 1e-3), beta1: oneOf(0.9, 0.99, 0.999), alpha: oneOf(0, 10, 100) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, disabled }) {
    const { beta2, alpha, minimumBeta1, beta1Warmup, epsilon } = hyper
    const beta1 = disabled('beta1Warmup') ? hyper.beta1 : warmedUp(minimumBeta1, hyper.beta1, t, beta1Warmup)
    const m = state.m.times(beta1).plus(g)
    const v = emaOfSquare(state.v, g, beta2)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt())
    const direction = m.plus(g.times(alpha)).over(root.plus(epsilon))
    if (!options.normalize) return { direction, state: { m, v } }
    const weight = state.weight.times(beta1).plus(1)
    return { direction: direction.over(weight), state: { m, v, weight } }
  },
})
