import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * KATE: AdaGrad without the root, and with a numerator that makes up for it, so that the steps do not depend on the scale of
 * the gradients.
 *
 * ```text
 * b ← b + g² + ε
 * n ← n + δ g² + g² / b
 * θ ← θ - η √n g / b
 * ```
 *
 * Defaults: η 1e-3, δ 0 (`delta`; the paper's η, 0 or up to 1e-4 in its experiments), ε 1e-8, λ 0, decoupled decay. State:
 * `b` and `n`, shaped like the parameter; they are the paper's b² and m².
 *
 * The paper has no ε. As in pytorch_optimizer it is added at every step, so that b drifts by ε t. Sums never decay: a huge
 * gradient slows its element down for good, as in AdaGrad.
 *
 * Choudhury, Tupitsa, Loizou, Horváth, Takáč, Gorbunov 2024, Remove that Square Root: A New Efficient Scale-Invariant
 * Version of AdaGrad, arXiv 2403.02648.
 */
export const kate = defineOptimizer({
  name: 'kate',
  title: 'KATE',
  family: 'adaptive',
  paper: {
    title: 'Remove that Square Root: A New Efficient Scale-Invariant Version of AdaGrad',
    authors: 'Choudhury, Tupitsa, Loizou, Horváth, Takáč, Gorbunov',
    year: 2024,
    arxiv: '2403.02648',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    delta: nonNegative(0),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { b: zeros(), n: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), delta: oneOf(0, 1e-4) },
  largestGradient: largestSquared,
  rule({ g, state, hyper }) {
    const square = g.square().limited()
    const b = state.b.plus(square).plus(hyper.epsilon).limited()
    const n = state.n.plus(square.times(hyper.delta)).plus(square.over(b)).limited()
    return { direction: n.sqrt().times(g.over(b)), state: { b, n } }
  },
})
