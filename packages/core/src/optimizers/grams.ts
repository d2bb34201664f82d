import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Grams: the length of every element's step from Adam, its direction from the current gradient.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * u ← (m / (1 - β1ᵗ)) √(1 - β2ᵗ) / (√v + ε)
 * θ ← θ - η sign(g) |u|                    sign(0) = 0
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-6, λ 0, decoupled decay, bias correction. State: `m` and `v`,
 * shaped like the parameter.
 *
 * ε is added to √v before bias correction as in the official code; the paper adds it after.
 *
 * Cao, Li, Song 2024, Grams: Gradient Descent with Adaptive Momentum Scaling, arXiv 2412.17107.
 */
export const grams = defineOptimizer({
  name: 'grams',
  title: 'Grams',
  family: 'adaptive',
  paper: {
    title: 'Grams: Gradient Descent with Adaptive Momentum Scaling',
    authors: 'Cao, Li, Song',
    year: 2024,
    arxiv: '2412.17107',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
  },
  options: { biasCorrection: true },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const u = m.over(v.sqrt().plus(epsilon))
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const length = (options.biasCorrection ? u.times(correction) : u).abs()
    return { direction: g.sign().times(length), state: { m, v } }
  },
})
