import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Adan: Nesterov momentum rewritten with the difference of successive gradients, so that no gradient is needed at an
 * extrapolated point.
 *
 * ```text
 * g ← g min(1, C / (‖all g‖ + ε))          with maximumGradientNorm C above 0
 * d ← g - g₋                               0 at the first step; g₋ is the previous g
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) d
 * n ← β3 n + (1 - β3) (g + β2 d)²
 * θ ← θ - η (m / (1 - β1ᵗ) + β2 v / (1 - β2ᵗ)) / (√(n / (1 - β3ᵗ)) + ε)
 * θ ← θ / (1 + η λ)                        proximal decay
 * g₋ ← g
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.98, 0.92, 0.99), ε 1e-8, λ 0, C 0 (off). The paper writes β as the weight
 * of the new value: its (0.02, 0.08, 0.01) are the same numbers. `decay: 'decoupled'` is the official `no_prox`. State:
 * `m`, `v`, `n` and `previous`, shaped like the parameter.
 *
 * As in the official code, and unlike the paper's Algorithm 1, the averages are bias-corrected and `previous` is the
 * clipped gradient. The official code counts steps once for all parameters; here a parameter's own updates count, so that
 * one whose gradient first comes late is corrected as if it started then.
 *
 * Xie, Zhou, Li, Lin, Yan 2022, Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models,
 * arXiv 2208.06677.
 */
export const adan = defineOptimizer({
  name: 'adan',
  title: 'Adan',
  family: 'adaptive',
  paper: {
    title: 'Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models',
    authors: 'Xie, Zhou, Li, Lin, Yan',
    year: 2022,
    arxiv: '2208.06677',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.98),
    beta2: decayRate(0.92),
    beta3: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    maximumGradientNorm: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), n: zeros(), previous: zeros() },
  decay: 'proximal',
  search: { learningRate: logUniform(3e-4, 1e-1), weightDecay: oneOf(0, 0.02) },
  largestGradient: largestSquared,
  rule({ g: gradient, t, state, hyper, disabled }) {
    const { beta1, beta2, beta3, epsilon, maximumGradientNorm } = hyper
    const g = disabled('maximumGradientNorm')
      ? gradient
      : gradient.times(maximumGradientNorm.over(gradient.norm('all').plus(epsilon)).minimum(1))
    const difference = where(t.equals(1), 0, g.minus(state.previous))
    const m = ema(state.m, g, beta1)
    const v = ema(state.v, difference, beta2)
    const n = emaOfSquare(state.n, g.plus(difference.times(beta2)), beta3)
    const mHat = m.over(biasCorrection(beta1, t))
    const vHat = v.over(biasCorrection(beta2, t))
    const root = n.sqrt().over(biasCorrection(beta3, t).sqrt())
    const direction = mHat.plus(vHat.times(beta2)).over(root.plus(epsilon))
    return { direction, state: { m, v, n, previous: g } }
  },
})
