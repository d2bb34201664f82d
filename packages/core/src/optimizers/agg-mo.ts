import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'

const velocities = ['b1', 'b2', 'b3', 'b4', 'b5'] as const
const rates = ['beta1', 'beta2', 'beta3', 'beta4', 'beta5'] as const

/** The slot of one velocity: left out when it is the gradient itself, or not among those that are averaged. */
const velocity = (index: number) =>
  zeros({ when: ({ options, disabled }) => index < Number(options.velocities) && !disabled(rates[index]!) })

/**
 * AggMo: the mean of several velocities with different damping; the quick ones stop the slow ones from oscillating.
 *
 * ```text
 * bᵢ ← βᵢ bᵢ + g                           i = 1 ... velocities
 * θ  ← θ - η (b1 + b2 + ...) / velocities
 * ```
 *
 * Defaults of the official code: 3 velocities (at most 5) with β (0, 0.9, 0.99), and 0.999 and 0.9999 for the fourth and
 * fifth, which is the exponential form βᵢ = 1 - 0.1^(i-1) of the paper; coupled weight decay 0. It asks for η, 0.01 here. State:
 * one `b` shaped like the parameter per velocity, none where β is 0.
 *
 * Lucas, Sun, Zemel, Grosse 2018, Aggregated Momentum: Stability Through Passive Damping, arXiv 1804.00325.
 */
export const aggMo = defineOptimizer({
  name: 'aggMo',
  title: 'AggMo',
  family: 'momentum',
  paper: {
    title: 'Aggregated Momentum: Stability Through Passive Damping',
    authors: 'Lucas, Sun, Zemel, Grosse',
    year: 2018,
    arxiv: '1804.00325',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta1: decayRate(0),
    beta2: decayRate(0.9),
    beta3: decayRate(0.99),
    beta4: decayRate(0.999),
    beta5: decayRate(0.9999),
    weightDecay: nonNegative(0),
  },
  options: { velocities: 3 },
  limits: { velocities: [1, velocities.length] },
  state: { b1: velocity(0), b2: velocity(1), b3: velocity(2), b4: velocity(3), b5: velocity(4) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), beta3: oneOf(0.97, 0.99, 0.999) },
  rule({ g, state, hyper, options, disabled }) {
    const count = options.velocities
    const next: Partial<Record<(typeof velocities)[number], typeof g>> = {}
    const each = velocities.slice(0, count).map((slot, index) => {
      const rate = rates[index]!
      if (disabled(rate)) return g
      const b = state[slot].times(hyper[rate]).plus(g)
      next[slot] = b
      return b
    })
    return { direction: each.map((b) => b.over(count)).reduce((sum, share) => sum.plus(share)), state: next }
  },
})
