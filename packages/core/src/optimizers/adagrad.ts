import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

/**
 * Adagrad: every element has its own learning rate, which falls with the sum of its squared gradients.
 *
 * ```text
 * s ← s + g²                               s starts at initialSum
 * θ ← θ - η / (1 + (t - 1) learningRateDecay) g / (√s + ε)
 * ```
 *
 * Defaults of PyTorch: η 0.01, ε 1e-10, initialSum 0, learningRateDecay 0, coupled weight decay 0. State: `s`, shaped like the
 * parameter.
 *
 * ε is outside the root as in PyTorch. TensorFlow and optax have it inside and start s at 0.1; the paper has neither ε
 * outside nor a decay of the learning rate.
 *
 * Duchi, Hazan, Singer 2011, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.
 */
export const adagrad = defineOptimizer({
  name: 'adagrad',
  title: 'Adagrad',
  family: 'adaptive',
  paper: {
    title: 'Adaptive Subgradient Methods for Online Learning and Stochastic Optimization',
    authors: 'Duchi, Hazan, Singer',
    year: 2011,
    url: 'https://jmlr.org/papers/v12/duchi11a.html',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    learningRateDecay: nonNegative(0),
    initialSum: nonNegative(0),
    epsilon: smallDivisor(1e-10),
    weightDecay: nonNegative(0),
  },
  state: { s: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), initialSum: oneOf(0, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const s = sumOfSquares(where(t.equals(1), hyper.initialSum, state.s), g)
    const slowed = t.minus(1).times(hyper.learningRateDecay).plus(1)
    return {
      direction: g.over(s.sqrt().plus(hyper.epsilon)),
      learningRate: hyper.learningRate.over(slowed),
      state: { s },
    }
  },
})
