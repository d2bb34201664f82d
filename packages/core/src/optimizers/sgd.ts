import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * SGD: stochastic gradient descent, with heavy-ball or Nesterov momentum.
 *
 * ```text
 * b ← momentum b + (1 - dampening) g       b ← g at the first step
 * θ ← θ - η b                              with nesterov: θ - η (g + momentum b)
 * ```
 *
 * Defaults (PyTorch's): momentum 0, dampening 0, nesterov false, weight decay 0 and coupled, `g ← g + λ θ`; the learning
 * rate of 0.01 is ours where older PyTorch has none. State: `b`, shaped like the parameter; none when momentum is 0, and
 * such an optimizer must be compiled anew to get momentum later.
 *
 * As in `torch.optim.SGD`, the first b is g and not (1 - dampening) g, and the learning rate is outside the buffer:
 * Sutskever et al. put it inside, which differs when it changes. PyTorch refuses nesterov with dampening; here both work.
 *
 * LOMO (Lv, Yang, Liu, Gao, Guo, Qiu 2023, arXiv 2306.09782) is this rule without momentum, applied during the backward pass:
 * `decay: 'decoupled'`, with `clipByValue` around it, and `fusedBackward` for the steps.
 *
 * Robbins, Monro 1951, A Stochastic Approximation Method. Polyak 1964, Some methods of speeding up the convergence of
 * iteration methods. Sutskever, Martens, Dahl, Hinton 2013, On the importance of initialization and momentum in deep
 * learning.
 */
export const sgd = defineOptimizer({
  name: 'sgd',
  title: 'SGD',
  family: 'momentum',
  paper: {
    title: 'A Stochastic Approximation Method',
    authors: 'Robbins, Monro',
    year: 1951,
    url: 'https://doi.org/10.1214/aoms/1177729586',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    momentum: nonNegative(0),
    dampening: fraction(0),
    weightDecay: nonNegative(0),
  },
  options: { nesterov: false },
  state: { b: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), momentum: oneOf(0, 0.9, 0.95) },
  rule({ g, t, state, hyper, options, disabled }) {
    if (disabled('momentum')) return { direction: g }
    const share = where(t.equals(1), 1, hyper.dampening.negated().plus(1))
    const b = state.b.times(hyper.momentum).plus(g.times(share))
    return { direction: options.nesterov ? g.plus(b.times(hyper.momentum)) : b, state: { b } }
  },
})
