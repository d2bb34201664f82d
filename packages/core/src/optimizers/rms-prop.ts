import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * RMSProp: the gradient over the root of its average square.
 *
 * ```text
 * v ← β v + (1 - β) g²                     v starts at initialAverage
 * u ← g / (√v + ε)                         with epsilonInsideRoot: g / √(v + ε)
 * θ ← θ - η u
 *
 * centered:  m ← β m + (1 - β) g, and v - m² in place of v: an average of variances, not of squares
 * momentum:  b ← μ b + u, θ ← θ - η b;  with learningRateInMomentum: b ← μ b + η u, θ ← θ - b
 * ```
 *
 * Defaults of PyTorch: η 0.01, β (`alpha`) 0.99, ε 1e-8, no momentum, not centered, v from 0, coupled weight decay 0. TensorFlow's
 * is β 0.9, `epsilonInsideRoot`, `initialAverage: 1` and `learningRateInMomentum`. Hinton's lecture has β 0.9 and no ε.
 * State: `v`, shaped like the parameter, `m` when centered, `b` with momentum.
 *
 * When centered, v holds the variance itself, by `β (v + (1 - β) (g - m₋)²)`: the same numbers as `v - m²`, without the
 * cancellation that makes other implementations take roots of negative numbers. With `learningRateInMomentum` a learning
 * rate of 0 stands still.
 *
 * Tieleman, Hinton 2012, Lecture 6.5: RMSProp. Centered: Graves 2013, Generating Sequences With Recurrent Neural Networks,
 * arXiv 1308.0850.
 */
export const rmsProp = defineOptimizer({
  name: 'rmsProp',
  title: 'RMSProp',
  family: 'adaptive',
  paper: {
    title: 'Lecture 6.5: Divide the gradient by a running average of its recent magnitude',
    authors: 'Tieleman, Hinton',
    year: 2012,
    url: 'https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta: decayRate(0.99),
    momentum: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    initialAverage: nonNegative(0),
    weightDecay: nonNegative(0),
  },
  options: { centered: false, epsilonInsideRoot: false, learningRateInMomentum: false },
  state: {
    v: zeros(),
    m: zeros({ when: ({ options }) => options.centered === true }),
    b: zeros({ when: ({ disabled }) => !disabled('momentum') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta: oneOf(0.9, 0.99), momentum: oneOf(0, 0.9) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, disabled }) {
    const { learningRate, beta, epsilon } = hyper
    const old = where(t.equals(1), hyper.initialAverage, state.v)
    const v = emaOfSquare(old, options.centered ? g.minus(state.m).times(beta.sqrt()) : g, beta)
    const average = options.centered ? { v, m: ema(state.m, g, beta) } : { v }
    const u = g.over(options.epsilonInsideRoot ? v.plus(epsilon).sqrt() : v.sqrt().plus(epsilon))
    if (disabled('momentum')) return { direction: u, state: average }
    const b = state.b.times(hyper.momentum).plus(options.learningRateInMomentum ? u.times(learningRate) : u)
    const within = where(learningRate.isGreaterThan(0), learningRate.power(-1), 0)
    return { direction: options.learningRateInMomentum ? b.times(within) : b, state: { ...average, b } }
  },
})
