import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

/**
 * The similar triangles method: Nesterov's optimal acceleration for smooth convex losses, in the form with one sequence of
 * gradient steps and two weighted averages.
 *
 * ```text
 * α ← η / 2 + √(η² / 4 + η A)              so that (A + α) η = α², η = 1 / L
 * y ← (α u + A x) / (A + α);  g ← ∇L(y);  u ← u - α g;  x ← (α u + A x) / (A + α);  A ← A + α
 * ```
 *
 * θ is y, where the gradient is taken; the model is evaluated at x. The learning rate η is 1 / L for a loss whose gradient
 * has Lipschitz constant L; larger ones diverge. It may be changed while running: a step takes the α that its y was made with,
 * so a change comes into effect one step later. Default: η 0.01, ours. State: u, x and the numbers A and α. Weight decay is
 * coupled.
 *
 * Gasnikov, Nesterov 2018, Universal Method for Stochastic Composite Optimization Problems, arXiv 1604.05275.
 */
export const similarTriangles = defineOptimizer({
  name: 'similarTriangles',
  title: 'Similar triangles method',
  family: 'momentum',
  paper: {
    title: 'Universal Method for Stochastic Composite Optimization Problems',
    authors: 'Gasnikov, Nesterov',
    year: 2018,
    arxiv: '1604.05275',
  },
  hyper: { learningRate: nonNegative(0.01), weightDecay: nonNegative(0) },
  state: { u: copyOfParameter(), x: copyOfParameter(), weight: scalar(0), alpha: scalar(0) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 1) },
  rule({ g, t, state, hyper }) {
    const eta = hyper.learningRate
    const alpha = where(t.equals(1), eta, state.alpha)
    const weight = state.weight.plus(alpha)
    const following = eta.over(2).plus(eta.square().over(4).plus(eta.times(weight)).sqrt())
    return {
      direction: g,
      apply(direction) {
        const u = state.u.minus(direction.times(alpha))
        // A weight of 0 means that every learning rate so far was 0: nothing has moved.
        const mean = (sum: Value, total: Value, otherwise: Value) =>
          where(total.isGreaterThan(0), sum.over(total.maximum(Number.MIN_VALUE)), otherwise)
        const x = mean(state.x.times(state.weight).plus(u.times(alpha)), weight, state.x)
        const y = mean(x.times(weight).plus(u.times(following)), weight.plus(following), x)
        return { parameter: y, state: { u, x, weight, alpha: following } }
      },
    }
  },
  average: ({ state }) => state.x,
})
