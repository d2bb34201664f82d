import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * Optimistic gradient descent: adds how the gradient has changed, as if it would change so again. Gradient descent circles
 * around saddle points of games, where this one arrives.
 *
 * ```text
 * θ ← θ - η (α g + β (g - g of the step before))        the first step: g - g = 0
 * ```
 *
 * Defaults of optax: α 1, β 1; its η is required, 0.01 here; λ 0, coupled. With β 0 it is gradient descent. State: `previous`,
 * shaped like the parameter.
 *
 * Mokhtari, Ozdaglar, Pattathil 2019, A Unified Analysis of Extra-gradient and Optimistic Gradient Methods for Saddle Point
 * Problems: Proximal Point Approach, arXiv 1901.08511.
 */
export const optimisticGradient = defineOptimizer({
  name: 'optimisticGradient',
  title: 'Optimistic gradient descent',
  family: 'momentum',
  paper: {
    title:
      'A Unified Analysis of Extra-gradient and Optimistic Gradient Methods for Saddle Point Problems: Proximal Point Approach',
    authors: 'Mokhtari, Ozdaglar, Pattathil',
    year: 2019,
    arxiv: '1901.08511',
  },
  hyper: { learningRate: nonNegative(0.01), alpha: nonNegative(1), beta: nonNegative(1), weightDecay: nonNegative(0) },
  state: { previous: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1) },
  rule({ g, t, state, hyper: { alpha, beta } }) {
    const change = where(t.equals(1), 0, g.minus(state.previous))
    const direction = g.times(alpha).plus(change.times(beta))
    return { direction: direction.limitedInSize(), state: { previous: g } }
  },
})
