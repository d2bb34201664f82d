import { defineTransform } from '../language/definition.ts'
import { positive, real } from '../language/hyperparameters.ts'
import type { ParameterShape } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

/** What is projected on its own: each tensor, or the weights of each output (by the layout). */
const of = { options: { of: 'tensor' as 'tensor' | 'output' }, choices: { of: ['tensor', 'output'] } }

/** The values to project, and over what they are summed. */
function parts(value: Value, shape: ParameterShape, over: 'tensor' | 'output') {
  return over === 'tensor' ? ([value, 'tensor'] as const) : ([value.as(shape.matrix), 'inputs'] as const)
}

/**
 * Keeps every element between two bounds: `θ ← min(max(θ, lower), upper)`, within the step. Hyperparameters `lower`, default 0,
 * and `upper`, default 1; `lower` above `upper` is an error. No state.
 *
 * As in all projections here it is the sequence that takes the step which is projected, wherever the wrapper stands: averages of it,
 * of Schedule-Free methods, averaged SGD, lookahead and so on, then lie within the (convex) set too, and so does what
 * `evaluationParameters()` gives. Start within the set: averages remember where they started.
 *
 * The points at which some optimizers evaluate the model within a step (`sharpnessAware`, gradient-free methods) are projected
 * as well, so the model is never evaluated outside, and the step is made from where the parameters were. That needs a copy of
 * the parameter (state `unprojected`), and a slope from two points of which one is cut off is estimated too small.
 *
 * Bertsekas 1976, On the Goldstein-Levitin-Polyak Gradient Projection Method; Levitin, Polyak 1966, Constrained Minimization Methods.
 */
export const projectOntoBox = defineTransform({
  name: 'projectOntoBox',
  title: 'Projection onto a box',
  hyper: { lower: real(0), upper: real(1) },
  ordered: [['lower', 'upper']],
  project: ({ value, hyper }) => value.maximum(hyper.lower).minimum(hyper.upper),
})

/**
 * Keeps every element from falling below 0: `θ ← max(θ, 0)`, within the step. No state. Averages stay at 0 or above too: see
 * {@link projectOntoBox}.
 *
 * Bertsekas 1976, On the Goldstein-Levitin-Polyak Gradient Projection Method.
 */
export const projectOntoNonnegative = defineTransform({
  name: 'projectOntoNonnegative',
  title: 'Projection onto nonnegative numbers',
  hyper: {},
  project: ({ value }) => value.maximum(0),
})

/**
 * Keeps the Euclidean norm of each tensor at or below a radius: `θ ← θ radius / ‖θ‖` where ‖θ‖ is above, within the step.
 * Hyperparameter `radius`, default 1. `of: 'output'` bounds the weights of each output on their own (by the layout of the
 * parameter; a vector is one). No state; one more pass. Averages stay within too: see {@link projectOntoBox}.
 *
 * Bertsekas 1976, On the Goldstein-Levitin-Polyak Gradient Projection Method; for outputs Srebro, Rennie, Jaakkola 2004,
 * Maximum-Margin Matrix Factorization.
 */
export const projectOntoBall = defineTransform({
  name: 'projectOntoBall',
  title: 'Projection onto a ball',
  hyper: { radius: positive(1) },
  ...of,
  project({ value, hyper, options, shape }) {
    const [x, axis] = parts(value, shape, options.of)
    const norm = x.norm(axis)
    return x.times(where(norm.isGreaterThan(hyper.radius), hyper.radius.over(norm), 1)).as(value)
  },
})

/** Steps after which the threshold stands, with room to spare; the tests try elements of every size. */
const newtonSteps = 16

/**
 * Keeps each tensor on the simplex of nonnegative numbers with a given sum: the nearest point of it, within the step.
 * Hyperparameter `total`, default 1. `of: 'output'` does so for the weights of each output (by the layout of the parameter; a
 * vector is one). No state. Averages stay within too: see {@link projectOntoBox}.
 *
 * ```text
 * θ ← max(θ - τ, 0),   τ with Σ max(θ - τ, 0) = total
 * ```
 *
 * In place of a sort τ is found by Newton's method from below, which is exact once it has all elements above τ: 17 more
 * passes. What they leave is scaled to the total.
 *
 * Duchi, Shalev-Shwartz, Singer, Chandra 2008, Efficient Projections onto the ℓ1-Ball for Learning in High Dimensions; Michelot
 * 1986, A Finite Algorithm for Finding the Projection of a Point onto the Canonical Simplex of ℝⁿ.
 */
export const projectOntoSimplex = defineTransform({
  name: 'projectOntoSimplex',
  title: 'Projection onto a simplex',
  paper: {
    title: 'Efficient Projections onto the ℓ1-Ball for Learning in High Dimensions',
    authors: 'Duchi, Shalev-Shwartz, Singer, Chandra',
    year: 2008,
  },
  hyper: { total: positive(1) },
  ...of,
  project({ value, hyper, options, shape }) {
    const { total } = hyper
    const [given, axis] = parts(value, shape, options.of)
    // Below the largest element, so that large numbers do not swallow what tells them apart.
    const x = given.minus(given.largest(axis))
    let threshold: Value = total.negated()
    for (let step = 0; step < newtonSteps; step++) {
      const above = x.isGreaterThan(threshold)
      const sum = where(above, x, 0).sum(axis)
      const count = where(above, 1, 0).sum(axis)
      threshold = sum.minus(total).over(count.maximum(1))
    }
    const rest = x.minus(threshold).maximum(0)
    return rest.times(total.over(rest.sum(axis))).as(value)
  },
})
