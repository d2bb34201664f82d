import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, positive } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { currentDistance, grownDistance, withoutRate } from '../parts/distance.ts'

/**
 * D-Adapt SGD: SGD whose learning rate is a growing lower bound d of the distance to the solution, divided by the norm of
 * the first gradient.
 *
 * ```text
 * γ ← d η / ‖g1‖                           ‖·‖ over all tensors; g1 is the first gradient that is not zero
 * a ← a + γ ⟨g, s⟩                         s before the step; summed over all tensors
 * s ← s + γ g
 * d̂ ← 2 a / ‖s‖
 * d⁺ ← max(d, min(d̂, d growthRate))
 * z ← z - γ g
 * θ ← momentum θ + (1 - momentum) z        z starts at θ
 * d ← d⁺
 * ```
 *
 * Defaults of the official code (`DAdaptSGD`, version 3): η 1 (leave it, or give a schedule's shape), momentum 0, λ 0,
 * g ← g + λ θ, d0 1e-6, growthRate unlimited (written 0). State: `s`, shaped like the parameter, and `z` with momentum;
 * the numbers `d`, `numerator` and `firstNorm`, shared by all tensors.
 *
 * As in the official code, ‖g1‖ is without decay. It computes z as θ0 - s, which is the same number. While η is 0 nothing
 * moves, where the official code still goes from θ to z. A first gradient of all zeros stops it with a division by zero;
 * here the first one that is not zero counts.
 *
 * Defazio, Mishchenko 2023, Learning-Rate-Free Learning by D-Adaptation, arXiv 2301.07733.
 */
export const dAdaptSGD = defineOptimizer({
  name: 'dAdaptSGD',
  title: 'D-Adapt SGD',
  family: 'stepSize',
  paper: {
    title: 'Learning-Rate-Free Learning by D-Adaptation',
    authors: 'Defazio, Mishchenko',
    year: 2023,
    arxiv: '2301.07733',
  },
  hyper: {
    learningRate: nonNegative(1),
    momentum: decayRate(0),
    weightDecay: nonNegative(0),
    d0: positive(1e-6),
    growthRate: nonNegative(0),
  },
  state: {
    s: zeros({ exact: true }),
    z: copyOfParameter({ when: ({ disabled }) => !disabled('momentum') }),
    d: sharedScalar(0),
    numerator: sharedScalar(0),
    firstNorm: sharedScalar(0),
  },
  decay: 'own',
  search: { learningRate: logUniform(0.1, 10) },
  rule({ p, g: gradient, state, hyper, disabled, ownWeightDecay }) {
    const g = gradient.plus(p.times(ownWeightDecay))
    const d = currentDistance(state.d, hyper.d0)
    const firstNorm = where(state.firstNorm.isGreaterThan(0), state.firstNorm, gradient.norm('all'))
    const gamma = where(firstNorm.isGreaterThan(0), d.times(hyper.learningRate).over(firstNorm), 0)

    const numerator = state.numerator.plus(g.times(gamma).times(state.s).sum('all'))
    const s = state.s.plus(g.times(gamma))
    const growthRate = disabled('growthRate') ? undefined : hyper.growthRate
    const shared = { s, d: grownDistance(d, numerator.times(2), s.norm('all'), growthRate), numerator, firstNorm }
    if (disabled('momentum')) return { direction: g, learningRate: gamma, state: shared }
    const z = state.z.minus(g.times(gamma))
    const pull = p.minus(z).times(hyper.momentum.negated().plus(1))
    return { direction: withoutRate(pull, gamma), learningRate: gamma, state: { ...shared, z } }
  },
})
