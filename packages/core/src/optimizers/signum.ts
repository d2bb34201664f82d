import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'

/**
 * Signum: the sign of the momentum. With momentum 0 it is signSGD, the sign of the gradient.
 *
 * ```text
 * m ← β m + (1 - β) g
 * θ ← (1 - η λ) θ - η sign(m)              sign(0) = 0
 * ```
 *
 * Defaults: β 0.9 as in the paper; η 1e-4, the paper's for ImageNet (MXNet, where the authors' code is, has 0.01); λ 0, which is
 * MXNet's `wd_lh`; its `wd` is `decay: 'coupled'`. State: `m`, shaped like the parameter; none when the momentum is 0.
 *
 * pytorch_optimizer 3.10 takes the sign of the gradient, whatever momentum and decay are.
 *
 * Bernstein, Wang, Azizzadenesheli, Anandkumar 2018, signSGD: Compressed Optimisation for Non-Convex Problems,
 * arXiv 1802.04434.
 */
export const signum = defineOptimizer({
  name: 'signum',
  title: 'Signum',
  family: 'sign',
  paper: {
    title: 'signSGD: Compressed Optimisation for Non-Convex Problems',
    authors: 'Bernstein, Wang, Azizzadenesheli, Anandkumar',
    year: 2018,
    arxiv: '1802.04434',
  },
  hyper: { learningRate: nonNegative(1e-4), momentum: decayRate(0.9), weightDecay: nonNegative(0) },
  state: { m: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(2e-5, 6e-3), momentum: oneOf(0, 0.9, 0.99) },
  rule({ g, state, hyper, disabled }) {
    if (disabled('momentum')) return { direction: g.sign() }
    const m = ema(state.m, g, hyper.momentum)
    return { direction: m.sign(), state: { m } }
  },
})
