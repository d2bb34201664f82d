import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { currentDistance, grownDistance } from '../parts/distance.ts'

/**
 * D-Adapt Lion: Lion whose learning rate is a growing lower bound d of the distance to the solution.
 *
 * ```text
 * γ ← d η
 * u ← sign(β1 m + (1 - β1) g)              sign(0) = 0
 * θ ← (1 - γ λ) θ - γ u
 * m ← β2 m + (1 - β2) γ g
 * a ← √β2 a + (1 - √β2) γ ⟨u, s⟩           s before the step; summed over all tensors
 * s ← √β2 s + (1 - √β2) γ u
 * d̂ ← a / ((1 - √β2) ‖s‖₁)                ‖·‖₁ over all tensors
 * d ← max(d, d̂)
 * ```
 *
 * Defaults of the official code (`DAdaptLion`): η 1 (leave it, or give a schedule's shape), β (0.9, 0.99), λ 0, d0 1e-6.
 * State: `m` and `s`, shaped like the parameter; the numbers `d` and `numerator`, shared by all tensors.
 *
 * As in the official code, m holds γ g while u mixes it with g itself, so that at first u is the sign of the gradient
 * alone. When all gradients so far were zero it does not count the step; here it counts.
 *
 * Defazio, Mishchenko 2023, Learning-Rate-Free Learning by D-Adaptation, arXiv 2301.07733. The paper has no Lion: the
 * official code is the only source.
 */
export const dAdaptLion = defineOptimizer({
  name: 'dAdaptLion',
  title: 'D-Adapt Lion',
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
    beta2: decayRate(0.99),
    weightDecay: nonNegative(0),
    d0: positive(1e-6),
  },
  state: { m: zeros(), s: zeros({ exact: true }), d: sharedScalar(0), numerator: sharedScalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 10), weightDecay: oneOf(0, 0.1, 1) },
  rule({ g, state, hyper }) {
    const rootBeta2 = hyper.beta2.sqrt()
    const d = currentDistance(state.d, hyper.d0)
    const gamma = d.times(hyper.learningRate)
    const direction = ema(state.m, g, hyper.beta1).sign()
    const m = ema(state.m, g.times(gamma), hyper.beta2)
    const numerator = ema(state.numerator, direction.times(gamma).times(state.s).sum('all'), rootBeta2)
    const s = ema(state.s, direction.times(gamma), rootBeta2)
    const denominator = s.abs().sum('all').times(rootBeta2.negated().plus(1))
    return {
      direction,
      learningRate: gamma,
      state: { m, s, d: grownDistance(d, numerator, denominator, undefined), numerator },
    }
  },
})
