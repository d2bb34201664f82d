import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare } from '../parts/ema-of-square.ts'

/**
 * ACProp: divides the gradient by how far gradients lay from their average before it came, so that numerator and denominator
 * do not depend on each other.
 *
 * ```text
 * θ ← θ - η (g / (√(sₜ₋₁ / (1 - β2ᵗ⁻¹)) + ε) + λ θ)          the first step: g / (1 + ε)
 * s ← β2 s + (1 - β2) (g - m)² + ε
 * m ← β1 m + (1 - β1) g
 * ```
 *
 * Defaults of optax: β (0.9, 0.999), ε 1e-16 in both places, λ 0; its η is required, 1e-3 here. State: `m` and `s`, shaped like
 * the parameter.
 *
 * As in optax the distance is that to the average before this gradient. The paper's is to the one after it, β1 times as
 * large, which makes its steps 1 / β1 times these.
 *
 * Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan 2021, Momentum Centering and Asynchronous Update for Adaptive Gradient
 * Methods, arXiv 2110.05454.
 */
export const acProp = defineOptimizer({
  name: 'acProp',
  title: 'ACProp',
  family: 'adaptive',
  paper: {
    title: 'Momentum Centering and Asynchronous Update for Adaptive Gradient Methods',
    authors: 'Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan',
    year: 2021,
    arxiv: '2110.05454',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-16),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), s: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  rule({ g, t, state, hyper: { beta1, beta2, epsilon } }) {
    const s = emaOfSquare(state.s, g.minus(state.m), beta2).plus(epsilon)
    const first = t.equals(1)
    const before = biasCorrection(beta2, where(first, 1, t.minus(1)))
    const scale = where(first, 1, state.s.over(before).sqrt())
    return { direction: g.over(scale.plus(epsilon)), state: { m: ema(state.m, g, beta1), s } }
  },
})
