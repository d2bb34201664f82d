import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

type Estimator = 'conditional' | 'simple' | 'momentum' | 'gradient'

/**
 * BCOS: steps along the momentum, divided by an estimate of its second moment that follows from the momentum before and
 * the gradient, so that no second average is kept.
 *
 * ```text
 * conditional:  v ← (3 β² - 2 β³) m² + (1 - β)² g² + 2 β (1 - β)² m g          m before the step, g at the first step
 * simple:       v ← β2 m² + (1 - β2) g²                                        β2 = 1 - (1 - β)²
 * m ← β m + (1 - β) g
 * momentum:     v ← β2 v + (1 - β2) m²                                         β2 = β; from g²
 * θ ← (1 - η λ) θ - η m / (√v + ε)
 * gradient:     v ← β2 v + (1 - β2) g²,  θ ← (1 - η λ) θ - η g / (√v + ε)     β2 = β; from g²
 * ```
 *
 * `estimator` chooses among the four; the last is RMSprop. Defaults of the official code: conditional, η 1e-3, β 0.9, ε 1e-6,
 * λ 0.1 and decoupled (BCOSW); β2 0 stands for the value above. State: `m` for all but gradient, `v` for momentum and gradient,
 * shaped like the parameter.
 *
 * m and v start at the first gradient, so there is no bias to correct. pytorch_optimizer forms the estimates with the momentum
 * after the step.
 *
 * Jiang, Xiao 2025, Stochastic Approximation with Block Coordinate Optimal Stepsizes, arXiv 2507.08963.
 */
export const bcos = defineOptimizer({
  name: 'bcos',
  title: 'BCOS',
  family: 'adaptive',
  paper: {
    title: 'Stochastic Approximation with Block Coordinate Optimal Stepsizes',
    authors: 'Jiang, Xiao',
    year: 2025,
    arxiv: '2507.08963',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta: decayRate(0.9),
    beta2: fraction(0),
    epsilon: smallDivisor(1e-6),
    weightDecay: nonNegative(0.1),
  },
  options: { estimator: 'conditional' as Estimator },
  choices: { estimator: ['conditional', 'simple', 'momentum', 'gradient'] },
  state: {
    m: zeros({ when: ({ options }) => options.estimator !== 'gradient' }),
    v: zeros({ when: ({ options }) => options.estimator === 'momentum' || options.estimator === 'gradient' }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(3e-5, 1e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, disabled }) {
    const { beta, epsilon } = hyper
    const first = t.equals(1)
    const rest = beta.negated().plus(1)
    const beta2 = (derived: Value) => (disabled('beta2') ? derived : hyper.beta2)
    const over = (direction: Value, v: Value) => direction.over(v.sqrt().plus(epsilon))
    const averaged = (value: Value) => emaOfSquare(state.v, value, where(first, 0, beta2(beta)))
    if (options.estimator === 'gradient') {
      const v = averaged(g)
      return { direction: over(g, v), state: { v } }
    }
    const before = where(first, g, state.m)
    const m = ema(before, g, beta)
    if (options.estimator === 'momentum') {
      const v = averaged(m)
      return { direction: over(m, v), state: { m, v } }
    }
    if (options.estimator === 'simple') {
      return {
        direction: over(m, emaOfSquare(before.square(), g, beta2(rest.square().negated().plus(1)))),
        state: { m },
      }
    }
    // The same as a sum of two squares, which rounding cannot make negative.
    const mixed = g.plus(before.times(beta)).times(rest).square()
    const past = before.times(beta).square().times(beta.square().negated().plus(2))
    return { direction: over(m, mixed.plus(past).limited()), state: { m } }
  },
})
