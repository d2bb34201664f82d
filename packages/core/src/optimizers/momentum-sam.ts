import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * MSAM: sharpness-aware minimization at the cost of one gradient, because the momentum says where to look. Needs `minimize`.
 *
 * ```text
 * e ← -ρ v / ‖v‖                           over all tensors; 0 while v is 0
 * v ← μ v + ∇L(θ + e) + λ (θ + e)
 * θ ← θ - η v
 * ```
 *
 * Defaults of the official code: η 0.1, μ 0.9, ρ 0.3, λ 0.01. State: v and the number `scale`, ρ / ‖v‖. As there, weight decay belongs to the loss that is
 * looked at from the perturbed point; `decay: 'coupled'` takes it from θ. The official code leaves the parameters at the
 * perturbed point between steps; here they are back at θ after each step.
 *
 * Becker, Altrock, Risse 2024, Momentum-SAM: Sharpness Aware Minimization without Computational Overhead, arXiv 2401.12033.
 */
export const momentumSAM = defineOptimizer({
  name: 'momentumSAM',
  title: 'Momentum-SAM',
  family: 'momentum',
  paper: {
    title: 'Momentum-SAM: Sharpness Aware Minimization without Computational Overhead',
    authors: 'Becker, Altrock, Risse',
    year: 2024,
    arxiv: '2401.12033',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: nonNegative(0.9),
    rho: nonNegative(0.3),
    weightDecay: nonNegative(0.01),
  },
  state: { v: zeros(), scale: scalar(0) },
  decay: 'own',
  search: { learningRate: logUniform(1e-3, 1), rho: oneOf(0.03, 0.1, 0.3, 1) },
  evaluations: () => [
    {
      wants: ['gradient'],
      at({ p, state, hyper }) {
        const norm = state.v.norm('all')
        const scale = where(norm.isGreaterThan(0), hyper.rho.over(norm).limited(), 0)
        return { parameter: p.minus(state.v.times(scale)), state: { scale } }
      },
    },
  ],
  origin: ({ p, state }) => p.plus(state.v.times(state.scale)),
  rule({ p, g, state, hyper, ownWeightDecay }) {
    const there = p.minus(state.v.times(state.scale))
    const v = state.v.times(hyper.momentum).plus(g.plus(there.times(ownWeightDecay)))
    return { direction: v, state: { v } }
  },
})
