import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * ADOPT: Adam that divides by the second moment of the steps before, so that a gradient never meets itself in the
 * denominator, and converges whatever β2.
 *
 * ```text
 * first step:  v ← g², nothing moves
 * u ← g / max(√v, ε)
 * u ← min(max(u, -c), c),  c = (t - 1)^clipExponent          with clip
 * m ← β1 m + (1 - β1) u
 * θ ← θ - η m
 * v ← β2 v + (1 - β2) g²
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.9999), ε 1e-6, λ 0, clipExponent 0.25; timm has 0.333. The official
 * default decay is coupled, `decouple=True` is `decay: 'decoupled'`. State: `m` and `v`, shaped like the parameter.
 *
 * As in the official code the first step neither moves nor decays, and the first update is t = 2, clipped at 1. The first
 * version of the paper has no clipping: `clip: false`.
 *
 * Taniguchi, Harada, Minegishi, Oshima, Jeong, Nagahara, Iiyama, Suzuki, Iwasawa, Matsuo 2024, ADOPT: Modified Adam Can
 * Converge with Any β2 with the Optimal Rate, arXiv 2411.02853.
 */
export const adopt = defineOptimizer({
  name: 'adopt',
  title: 'ADOPT',
  family: 'adaptive',
  paper: {
    title: 'ADOPT: Modified Adam Can Converge with Any β2 with the Optimal Rate',
    authors: 'Taniguchi, Harada, Minegishi, Oshima, Jeong, Nagahara, Iiyama, Suzuki, Iwasawa, Matsuo',
    year: 2024,
    arxiv: '2411.02853',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.9999),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
    clipExponent: nonNegative(0.25),
  },
  options: { clip: true },
  state: { m: zeros(), v: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999, 0.9999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon, clipExponent } = hyper
    const first = t.equals(1)
    const normalized = g.over(state.v.sqrt().maximum(epsilon))
    const limit = t.minus(1).power(clipExponent)
    const u = options.clip ? normalized.minimum(limit).maximum(limit.negated()) : normalized
    const m = where(first, 0, ema(state.m, u, beta1))
    const v = emaOfSquare(state.v, g, where(first, 0, beta2))
    return { direction: m, learningRate: where(first, 0, hyper.learningRate), state: { m, v } }
  },
})
