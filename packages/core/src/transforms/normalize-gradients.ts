import { defineTransform } from '../language/definition.ts'
import { smallDivisor } from '../language/hyperparameters.ts'

/**
 * Gives the gradient of all parameters together the norm 1: `g ← g / (‖g‖ + ε)`, with the norm over all tensors. The length of
 * a step of gradient descent is then the learning rate. ε 1e-30; no state. `normalize` of optax has no ε.
 *
 * Nesterov 1984, Minimization methods for nonsmooth convex and quasiconvex functions; Hazan, Levy, Shalev-Shwartz 2015, Beyond
 * Convexity: Stochastic Quasi-Convex Optimization, arXiv 1507.02030.
 */
export const normalizeGradients = defineTransform({
  name: 'normalizeGradients',
  title: 'Normalized gradients',
  paper: {
    title: 'Beyond Convexity: Stochastic Quasi-Convex Optimization',
    authors: 'Hazan, Levy, Shalev-Shwartz',
    year: 2015,
    arxiv: '1507.02030',
  },
  hyper: { epsilon: smallDivisor(1e-30) },
  gradient: ({ g, hyper }) => ({ gradient: g.over(g.square().sum('all').sqrt().plus(hyper.epsilon)) }),
})
