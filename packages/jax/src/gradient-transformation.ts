import { Array as JaxArray, type numpy as np } from '@jax-js/jax'
import type { Tree } from './parameters.ts'

/**
 * A pair of pure functions over trees of jax-js arrays, as in optax. As everywhere in jax-js, arrays that are passed to
 * them are consumed.
 */
export interface GradientTransformation {
  /** The first state for these parameters. */
  init(params: Tree): Tree
  /**
   * The updates and the state of one step. `params` is what the gradients were taken at; weight decay and all that reads
   * the parameters needs it, as in optax, others do not. `scalars` is what `scalars(step)` gives; only inside `jit` it is
   * needed.
   */
  update<Params extends Tree>(updates: Params, state: Tree, params?: Params, scalars?: Tree): [Params, Tree]
  /** What `update` needs from the host at a step, counted from 1: arrays of the same shapes at every step. */
  scalars?(step: number): Tree
}

/**
 * The number of steps in a state; borrows the array.
 * @throws Error inside jit, where there is no number yet.
 */
export function readCount(caller: string, count: np.Array): number {
  if (count instanceof JaxArray) return count.ref.item()
  throw new Error(
    `${caller}: inside jit the fourth argument of update is needed: pass optimizer.scalars(step) through the jitted function`,
  )
}
