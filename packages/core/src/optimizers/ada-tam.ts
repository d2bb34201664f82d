import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { torque } from '../parts/torque.ts'

/**
 * AdaTAM: torque-aware momentum divided by the root of an average of squares, as Adam's. See {@link tam}.
 *
 * ```text
 * c ← γ c + (1 - γ) ⟨m, g⟩ / (‖m‖ ‖g‖)      per tensor; 0 where either is 0
 * m ← β1 m + ((1 + c) / 2 + ε) g
 * v ← β2 v + (1 - β2) g²
 * θ ← (1 - η λ) θ - η m / (√v + ε)
 * ```
 *
 * Defaults: η 1e-3, β (0.9, 0.999), γ 0.9, ε 1e-8, λ 0 decoupled. State: `m` and `v`, shaped like the parameter, and
 * `correlation` (c), one number per tensor. One more read of gradient and m.
 *
 * m is a sum and nothing is corrected for its start: the first steps are long, warm the learning rate up.
 * pytorch_optimizer's correlation is no cosine (see {@link tam}).
 *
 * Malviya, Mordido, Baratin, Babanezhad, Dziugaite, Pascanu, Chandar 2024, Torque-Aware Momentum, arXiv 2412.18790.
 */
export const adaTAM = defineOptimizer({
  name: 'adaTAM',
  title: 'AdaTAM',
  family: 'adaptive',
  paper: {
    title: 'Torque-Aware Momentum',
    authors: 'Malviya, Mordido, Baratin, Babanezhad, Dziugaite, Pascanu, Chandar',
    year: 2024,
    arxiv: '2412.18790',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    gamma: decayRate(0.9),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), correlation: scalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), gamma: oneOf(0.9, 0.99) },
  largestGradient: largestSquared,
  rule({ g, state, hyper }) {
    const { beta1, beta2, epsilon } = hyper
    const { factor, correlation } = torque(state.m, g, state.correlation, hyper)
    const m = state.m.times(beta1).plus(g.times(factor))
    const v = emaOfSquare(state.v, g, beta2)
    return { direction: m.over(v.sqrt().plus(epsilon)), state: { m, v, correlation } }
  },
})
