import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdamG, Adam with the golden step size: the momentum is of gradients that a power of the average square scales, which leaves
 * little to choose for the learning rate.
 *
 * ```text
 * v ← β2 v + (1 - β2) g²
 * r ← β3 r + (1 - β3) p v^q
 * m ← β1 m + (1 - β1) r g
 * θ ← θ - min(η, 1 / √t) (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults: η 1 (leave it), β (0.95, 0.999, 0.95), p (`numerator`) 0.2, q (`numeratorPower`) 0.24, ε 1e-8, λ 0 and coupled.
 * State: `m`, `v` and `r`, shaped like the parameter. The power makes it slower than other elementwise rules.
 *
 * Pang, Yu, Hoang, Zhou 2024, Towards Stability of Parameter-free Optimization, arXiv 2405.04376.
 */
export const adamG = defineOptimizer({
  name: 'adamG',
  title: 'AdamG',
  family: 'stepSize',
  paper: {
    title: 'Towards Stability of Parameter-free Optimization',
    authors: 'Pang, Yu, Hoang, Zhou',
    year: 2024,
    arxiv: '2405.04376',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta1: decayRate(0.95),
    beta2: decayRate(0.999),
    beta3: decayRate(0.95),
    numerator: positive(0.2),
    numeratorPower: positive(0.24),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), r: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(0.01, 1), weightDecay: oneOf(0, 1e-4, 1e-3) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { learningRate, beta1, beta2, beta3, numerator, numeratorPower, epsilon } = hyper
    const v = emaOfSquare(state.v, g, beta2)
    const r = ema(state.r, v.power(numeratorPower).times(numerator), beta3)
    const m = ema(state.m, r.times(g), beta1)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon)
    return {
      direction: m.over(root).over(biasCorrection(beta1, t)),
      learningRate: learningRate.minimum(t.sqrt().power(-1)),
      state: { m, v, r },
    }
  },
})
