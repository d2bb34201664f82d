import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'

/**
 * Adamax: {@link adam} with a fading maximum of gradients in place of the root of their average square.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * u ← max(β2 u, |g| + ε)
 * θ ← θ - η m / (1 - β1ᵗ) / u
 * ```
 *
 * Defaults of PyTorch and the paper: η 2e-3, β (0.9, 0.999), coupled weight decay 0; ε 1e-8 is PyTorch's, inside the maximum,
 * the paper has none. State: `m` and `u`, shaped like the parameter.
 *
 * Kingma, Ba 2014, Adam: A Method for Stochastic Optimization, section 7.1, arXiv 1412.6980.
 */
export const adamax = defineOptimizer({
  name: 'adamax',
  title: 'Adamax',
  family: 'adaptive',
  paper: {
    title: 'Adam: A Method for Stochastic Optimization',
    authors: 'Kingma, Ba',
    year: 2014,
    arxiv: '1412.6980',
  },
  hyper: {
    learningRate: nonNegative(2e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), u: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  rule({ g, t, state, hyper }) {
    const m = ema(state.m, g, hyper.beta1)
    const u = state.u.times(hyper.beta2).maximum(g.abs().plus(hyper.epsilon))
    return { direction: m.over(biasCorrection(hyper.beta1, t)).over(u), state: { m, u } }
  },
})
