import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * M-SVAG: momentum, not its sign as in Adam, damped where gradients are noisy.
 *
 * ```text
 * m ← β m + (1 - β) g,   m̂ = m / (1 - βᵗ)
 * v ← β v + (1 - β) g²,  v̂ = v / (1 - βᵗ)
 * ρ = (1 - β) (1 + βᵗ) / ((1 + β) (1 - βᵗ))
 * s = (v̂ - m̂²) / (1 - ρ)                   the variance of g; 0 at the first step
 * θ ← θ - η m̂ m̂² / (m̂² + ρ s)              0 where m̂ is 0
 * ```
 *
 * Defaults of the official code: β 0.9; it asks for η, 0.01 here as in pytorch_optimizer. λ 0, decoupled, is an addition. State:
 * `m` and `v`, shaped like the parameter.
 *
 * Where the average square vanishes in float32 (v up to 1e-37) nothing is damped.
 *
 * pytorch_optimizer divides by βᵗ in place of 1 - βᵗ, and has 1 - β for 1 - β² in ρ: another rule.
 *
 * Balles, Hennig 2017, Dissecting Adam: The Sign, Magnitude and Variance of Stochastic Gradients, arXiv 1705.07774.
 */
export const mSVAG = defineOptimizer({
  name: 'mSVAG',
  title: 'M-SVAG',
  family: 'adaptive',
  paper: {
    title: 'Dissecting Adam: The Sign, Magnitude and Variance of Stochastic Gradients',
    authors: 'Balles, Hennig',
    year: 2017,
    arxiv: '1705.07774',
  },
  hyper: { learningRate: nonNegative(0.01), beta: decayRate(0.9), weightDecay: nonNegative(0) },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), beta: oneOf(0.9, 0.99) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta } = hyper
    const correction = biasCorrection(beta, t)
    const m = ema(state.m, g, beta)
    const v = emaOfSquare(state.v, g, beta)
    const rho = beta.negated().plus(1).times(correction.negated().plus(2)).over(beta.plus(1).times(correction))
    const limited = rho.minimum(0.999)
    const weight = where(t.equals(1), 0, limited.over(limited.negated().plus(1)))
    // (v̂ - m̂²) / m̂² from the ratio √v̂ / |m̂|, since m̂² may overflow in float32.
    const excess = v.sqrt().over(m.abs()).times(correction.sqrt()).square().minus(1).maximum(0)
    const damping = where(v.isGreaterThan(1e-37), excess.times(weight).plus(1), 1)
    return { direction: m.over(correction).over(damping), state: { m, v } }
  },
})
