import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { projected } from '../parts/projection.ts'

/**
 * SGDP: SGD with momentum that leaves out the part of the step along the weights where a normalization makes their scale
 * irrelevant. See {@link adamP} for the projection.
 *
 * ```text
 * b ← μ b + (1 - dampening) g
 * u ← b                                      with nesterov: g + μ b
 * for every channel, else for the whole tensor:
 *   if max |cos(θ, g)| < δ / √size:  u ← u - θ̂ ⟨θ̂, u⟩,  ρ ← decayRatio     θ̂ = θ / (‖θ‖ + ε)
 * θ ← (1 - η λ ρ / (1 - μ)) θ - η u          ρ = 1 without projection
 * ```
 *
 * Defaults of the official code: μ 0, dampening 0, nesterov false, ε 1e-8, λ 0, δ 0.1, decayRatio 0.1; its η is required,
 * 0.1 here. State: `b`, shaped like the parameter.
 *
 * As in the official code b starts at 0, so dampening acts on the first gradient too, and without nesterov the projection
 * changes b itself. Decay is the rule's own.
 *
 * Heo, Chun, Oh, Han, Yun, Kim, Uh, Ha 2020, AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant
 * Weights, arXiv 2006.08217.
 */
export const sgdP = defineOptimizer({
  name: 'sgdP',
  title: 'SGDP',
  family: 'momentum',
  paper: {
    title: 'AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights',
    authors: 'Heo, Chun, Oh, Han, Yun, Kim, Uh, Ha',
    year: 2020,
    arxiv: '2006.08217',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: decayRate(0),
    dampening: fraction(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    delta: nonNegative(0.1),
    decayRatio: fraction(0.1),
  },
  options: { nesterov: false },
  state: { b: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'own',
  search: { learningRate: logUniform(1e-3, 1), momentum: oneOf(0, 0.9, 0.95), weightDecay: oneOf(0, 1e-5, 1e-4) },
  rule({ p, g, state, hyper, options, shape, disabled, ownWeightDecay }) {
    const { momentum, dampening } = hyper
    const fresh = g.times(dampening.negated().plus(1))
    const b = disabled('momentum') ? fresh : state.b.times(momentum).plus(fresh)
    const step = options.nesterov ? g.plus(b.times(momentum)) : b
    const { update, decayShare } = projected(step, p, g, shape, hyper)
    const decay = ownWeightDecay.over(momentum.negated().plus(1)).times(decayShare)
    return {
      direction: update.plus(p.times(decay)),
      state: disabled('momentum') ? {} : { b: options.nesterov ? b : update },
    }
  },
})
