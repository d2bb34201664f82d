import { defineTransform } from '../language/definition.ts'
import { where } from '../language/value.ts'

/**
 * Takes elements of the gradient that are not a number for 0: `g ← 0 where g is NaN, g elsewhere`; infinite ones stay. Stays
 * within the update's own pass.
 *
 * The other elements of the tensor go on, where `nonFinite: 'skip'` leaves out the whole step; so it is for single bad numbers,
 * not for a model that has diverged. Compile with `nonFinite: 'allow'`: the check comes before. Put it outside of everything
 * that sums over the gradient, such as clipping.
 */
export const zeroNans = defineTransform({
  name: 'zeroNans',
  title: 'NaNs as zeros',
  hyper: {},
  gradient: ({ g }) => ({ gradient: where(g.equals(g), g, 0) }),
})
