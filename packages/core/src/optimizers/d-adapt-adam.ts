import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive, smallDivisor } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { currentDistance, grownDistance, withoutRate } from '../parts/distance.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * D-Adapt Adam: Adam whose learning rate is a growing lower bound d of the distance to the solution.
 *
 * ```text
 * γ ← d η                                  times √(1 - β2ᵗ) / (1 - β1ᵗ) with biasCorrection
 * a ← √β2 a + (1 - √β2) γ ⟨g, s / (√v + ε)⟩        s and v before the step; summed over all tensors
 * m ← β1 m + (1 - β1) γ g
 * v ← β2 v + (1 - β2) g²
 * s ← √β2 s + (1 - √β2) γ g
 * d̂ ← a / ((1 - √β2) ‖s‖₁)                ‖·‖₁ over all tensors
 * d⁺ ← max(d, min(d̂, d growthRate))
 * θ ← (1 - γ λ) θ - m / (√v + ε)
 * d ← d⁺
 * ```
 *
 * Defaults of the official code (`DAdaptAdam`, version 3): η 1 (leave it, or give a schedule's shape), β (0.9, 0.999),
 * ε 1e-8, λ 0 and coupled (`decay: 'decoupled'` is its `decouple`), d0 1e-6, growthRate unlimited (written 0), no bias
 * correction. State: `m`, `v` and `s`, shaped like the parameter; the numbers `d` and `numerator`, shared by all tensors.
 *
 * The first versions of the official code estimated d from squares of s, as the paper's Algorithm 5 does; version 3 takes
 * inner products, and so does this. While η is 0 nothing moves, where the official code still applies m. When all gradients
 * so far were zero it does not count the step; here it counts.
 *
 * Defazio, Mishchenko 2023, Learning-Rate-Free Learning by D-Adaptation, arXiv 2301.07733.
 */
export const dAdaptAdam = defineOptimizer({
  name: 'dAdaptAdam',
  title: 'D-Adapt Adam',
  family: 'stepSize',
  paper: {
    title: 'Learning-Rate-Free Learning by D-Adaptation',
    authors: 'Defazio, Mishchenko',
    year: 2023,
    arxiv: '2301.07733',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    d0: positive(1e-6),
    growthRate: nonNegative(0),
  },
  options: { biasCorrection: false },
  state: { m: zeros(), v: zeros(), s: zeros({ exact: true }), d: sharedScalar(0), numerator: sharedScalar(0) },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10) },
  largestGradient: largestSquared,
  rule({ g, step, state, hyper, options, disabled }) {
    const { beta1, beta2, epsilon } = hyper
    const rootBeta2 = beta2.sqrt()
    const d = currentDistance(state.d, hyper.d0)
    const correction = biasCorrection(beta2, step).sqrt().over(biasCorrection(beta1, step))
    const gamma = d.times(options.biasCorrection ? hyper.learningRate.times(correction) : hyper.learningRate)

    const product = g.times(state.s.over(state.v.sqrt().plus(epsilon))).times(gamma)
    const numerator = ema(state.numerator, product.sum('all'), rootBeta2)
    const m = ema(state.m, g.times(gamma), beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const s = ema(state.s, g.times(gamma), rootBeta2)
    const denominator = s.abs().sum('all').times(rootBeta2.negated().plus(1))
    const next = grownDistance(d, numerator, denominator, disabled('growthRate') ? undefined : hyper.growthRate)
    return {
      direction: withoutRate(m.over(v.sqrt().plus(epsilon)), gamma),
      learningRate: gamma,
      state: { m, v, s, d: next, numerator },
    }
  },
})
