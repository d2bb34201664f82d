import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { torque } from '../parts/torque.ts'

/**
 * TAM: momentum in which a gradient counts for less the further it points away from the momentum so far.
 *
 * ```text
 * c ← γ c + (1 - γ) ⟨m, g⟩ / (‖m‖ ‖g‖)      per tensor; 0 where either is 0
 * m ← μ m + ((1 + c) / 2 + ε) g
 * θ ← (1 - η λ) θ - η m
 * ```
 *
 * Defaults: η 0.1, μ 0.9, γ 0.9, ε 1e-8, λ 0 decoupled. State: `m`, shaped like the parameter, and `correlation` (c), one
 * number per tensor. One more read of gradient and m. Steps are about half of those of SGD with momentum.
 *
 * pytorch_optimizer multiplies the columns, each divided by its norm, element by element, and keeps one c per element:
 * that is no cosine.
 *
 * Malviya, Mordido, Baratin, Babanezhad, Dziugaite, Pascanu, Chandar 2024, Torque-Aware Momentum, arXiv 2412.18790.
 */
export const tam = defineOptimizer({
  name: 'tam',
  title: 'TAM',
  family: 'momentum',
  paper: {
    title: 'Torque-Aware Momentum',
    authors: 'Malviya, Mordido, Baratin, Babanezhad, Dziugaite, Pascanu, Chandar',
    year: 2024,
    arxiv: '2412.18790',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: decayRate(0.9),
    gamma: decayRate(0.9),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), correlation: scalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1), momentum: oneOf(0.9, 0.95), gamma: oneOf(0.9, 0.99) },
  rule({ g, state, hyper }) {
    const { factor, correlation } = torque(state.m, g, state.correlation, hyper)
    const m = state.m.times(hyper.momentum).plus(g.times(factor))
    return { direction: m, state: { m, correlation } }
  },
})
