import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { warmedUp } from '../parts/warmed-up.ts'

/**
 * AdEMAMix: AdamW with a second, very slow momentum beside the fast one.
 *
 * ```text
 * m1 ← β1 m1 + (1 - β1) g
 * m2 ← β3ₜ m2 + (1 - β3ₜ) g
 * v  ← β2 v + (1 - β2) g²
 * θ  ← (1 - η λ) θ - η (m1 / (1 - β1ᵗ) + αₜ m2) / (√(v / (1 - β2ᵗ)) + ε)
 *
 * αₜ  = α min(1, t / alphaWarmup)
 * β3ₜ: 1 / ln β3ₜ = (1 - s) / ln β1 + s / ln β3,  s = t / betaWarmup, while s < 1, then β3 (linear in the half-life)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999, 0.9999), α 2, ε 1e-8, λ 0, no warm-ups (0 is off). The paper
 * tunes α between 5 and 8 and warms both up over the whole training. State: `m1`, `m2` and `v`, shaped like the
 * parameter; no `m1` when β1 is 0.
 *
 * m2 is not bias-corrected: the warm-ups take that place. The official half-life has 1e-8 added to β, kept here.
 *
 * Pagliardini, Ablin, Grangier 2024, The AdEMAMix Optimizer: Better, Faster, Older, arXiv 2409.03137.
 */
export const adEMAMix = defineOptimizer({
  name: 'adEMAMix',
  title: 'AdEMAMix',
  family: 'adaptive',
  paper: {
    title: 'The AdEMAMix Optimizer: Better, Faster, Older',
    authors: 'Pagliardini, Ablin, Grangier',
    year: 2024,
    arxiv: '2409.03137',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    beta3: decayRate(0.9999),
    alpha: nonNegative(2),
    alphaWarmup: nonNegative(0),
    betaWarmup: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m1: zeros({ when: ({ disabled }) => !disabled('beta1') }), m2: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta3: oneOf(0.99, 0.999, 0.9999), alpha: oneOf(2, 5, 8) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, disabled }) {
    const { beta1, beta2, epsilon } = hyper
    const alpha = disabled('alphaWarmup') ? hyper.alpha : hyper.alpha.times(t.over(hyper.alphaWarmup).minimum(1))
    const beta3 = disabled('betaWarmup') ? hyper.beta3 : warmedUp(beta1, hyper.beta3, t, hyper.betaWarmup)
    const m1 = disabled('beta1') ? g : ema(state.m1, g, beta1)
    const m2 = ema(state.m2, g, beta3)
    const v = emaOfSquare(state.v, g, beta2)
    const m1Hat = m1.over(biasCorrection(beta1, t))
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt())
    const direction = m1Hat.plus(m2.times(alpha)).over(root.plus(epsilon))
    return { direction, state: disabled('beta1') ? { m2, v } : { m1, m2, v } }
  },
})
