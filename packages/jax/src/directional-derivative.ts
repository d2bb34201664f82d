import { jvp, type numpy as np } from '@jax-js/jax'
import type { Tree } from './parameters.ts'

/**
 * The derivative of a loss along a direction, and the loss. To be traced: the gradient of the first is the product of the Hessian with the
 * direction. Forward over reverse gives the same, but jax-js makes far slower kernels of it.
 */
export function directionalDerivative(
  loss: (at: Tree) => np.Array,
  at: Tree,
  direction: Tree,
): [slope: np.Array, loss: np.Array] {
  const [value, slope] = jvp(loss as never, [at] as never, [direction] as never) as [np.Array, np.Array]
  return [slope, value]
}
