import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * MADGRAD: dual averaging with a cube root in the place of AdaGrad's square root, and momentum by averaging iterates.
 *
 * ```text
 * c ← (η + ε) √t
 * s ← s + c g
 * v ← v + c g²
 * z ← θ₀ - s / (∛v + ε)
 * θ ← μ θ + (1 - μ) z
 * ```
 *
 * Defaults of the official code: η 0.01, μ 0.9, ε 1e-6, λ 0, coupled decay. Its learning rates are about those of SGD. State:
 * `s`, `v` and the initial parameter `start`, shaped like the parameter; without momentum θ₀ is worked out from θ, and
 * `start` is left out.
 *
 * With η 0 nothing moves; the official code then still moves by its ε. Coupled decay fits dual averaging badly, as the
 * paper says; `decay: 'decoupled'` acts on θ before it is averaged, as in timm.
 *
 * Defazio, Jelassi 2021, Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method for Stochastic
 * Optimization, arXiv 2101.11075.
 */
export const madgrad = defineOptimizer({
  name: 'madgrad',
  title: 'MADGRAD',
  family: 'adaptive',
  paper: {
    title:
      'Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method for Stochastic Optimization',
    authors: 'Defazio, Jelassi',
    year: 2021,
    arxiv: '2101.11075',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    momentum: decayRate(0.9),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0),
  },
  state: { s: zeros(), v: zeros(), start: copyOfParameter({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 1e-1), momentum: oneOf(0, 0.9) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, decay, disabled }) {
    const { learningRate, momentum, epsilon, weightDecay } = hyper
    const weight = learningRate.plus(epsilon).times(t.sqrt())
    const shrunk = decay === 'decoupled' ? p.times(learningRate.times(weightDecay).negated().plus(1)) : p
    const start = disabled('momentum') ? shrunk.plus(state.s.over(state.v.power(1 / 3).plus(epsilon))) : state.start
    const s = state.s.plus(g.times(weight))
    const v = state.v.plus(g.times(weight.sqrt()).square()).limited()
    const z = start.minus(s.over(v.power(1 / 3).plus(epsilon)))
    const share = where(learningRate.isGreaterThan(0), momentum.negated().plus(1).over(learningRate), 0)
    return { direction: shrunk.minus(z).times(share), state: { s, v } }
  },
})
