import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { projected } from '../parts/projection.ts'

/**
 * AdamP: Adam that leaves out the part of the step along the weights where a normalization makes their scale irrelevant,
 * so that momentum does not let the norm grow.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * u ← m / (√v / √(1 - β2ᵗ) + ε)             with nesterov: (β1 m + (1 - β1) g) / ...
 * for every channel, else for the whole tensor:
 *   if max |cos(θ, g)| < δ / √size:  u ← u - θ̂ ⟨θ̂, u⟩,  ρ ← decayRatio     θ̂ = θ / (‖θ‖ + ε)
 * θ ← (1 - η λ ρ) θ - η u / (1 - β1ᵗ)       ρ = 1 without projection
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0, δ 0.1, decayRatio 0.1, nesterov false. A channel is
 * an output (by the layout), `size` its number of elements; tensors of fewer than two dimensions are plain Adam.
 * State: `m` and `v`, shaped like the parameter. One more read of parameter, gradient and state for the cosines.
 *
 * Decay is the rule's own, weaker where the projection acts; with another style it is not.
 *
 * Heo, Chun, Oh, Han, Yun, Kim, Uh, Ha 2020, AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant
 * Weights, arXiv 2006.08217.
 */
export const adamP = defineOptimizer({
  name: 'adamP',
  title: 'AdamP',
  family: 'adaptive',
  paper: {
    title: 'AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights',
    authors: 'Heo, Chun, Oh, Han, Yun, Kim, Uh, Ha',
    year: 2020,
    arxiv: '2006.08217',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    delta: nonNegative(0.1),
    decayRatio: fraction(0.1),
  },
  options: { nesterov: false },
  state: { m: zeros(), v: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, options, shape, ownWeightDecay }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon)
    const step = (options.nesterov ? ema(m, g, beta1) : m).over(root)
    const { update, decayShare } = projected(step, p, g, shape, hyper)
    const direction = update.over(biasCorrection(beta1, t)).plus(p.times(ownWeightDecay.times(decayShare)))
    return { direction, state: { m, v } }
  },
})
