import { grad, jvp, numpy as np, tree, vjp, vmap } from '@jax-js/jax'
import { type LossInParts, refs } from './model.ts'
import type { Tree } from './parameters.ts'

/** The derivatives of a batch of B examples with c outputs each. */
export type LinearizedBatch = {
  /** Of the examples' own losses by their outputs, B × c. */
  readonly residuals: np.Array
  /** Of the outputs by all parameters behind one another, B c rows. */
  readonly jacobian: np.Array
  /** Of the residuals by the outputs, B × c × c. */
  readonly outputHessians: np.Array
}

/**
 * Linearizes a model on a batch. To be traced; borrows its arguments.
 * @param order in which the parameters lie behind one another, as places among the leaves of their tree.
 * @throws Error when an array of the batch has another number of examples than the outputs.
 */
export function linearizationOf(
  { outputs, lossOfOutputs }: LossInParts,
  order: readonly number[],
  params: Tree,
  batch: readonly Tree[],
): LinearizedBatch {
  const z = outputs(tree.ref(params), ...refs(batch))
  const [examples = 1, ...own] = z.shape
  const count = own.reduce((product, size) => product * size, 1)
  const [leaves, structure] = tree.flatten([...batch] as Tree[]) as [np.Array[], tree.JsTreeDef]
  for (const { shape } of leaves) {
    if (shape[0] === examples) continue
    throw new Error(
      `linearize: the first axis of every array of the batch must be the examples, ${examples} as in the outputs, not that of ` +
        `[${shape.join(', ')}]`,
    )
  }
  const slope = (at: np.Array) => grad(lossOfOutputs as (at: np.Array) => np.Array)(at, ...(refs(batch) as []))
  // The mean has a share of each example.
  const residuals = slope(z.ref).mul(examples).reshape([examples, count])
  const column = (unit: np.Array) => {
    const direction = np.broadcastTo(unit.reshape([1, ...own]), z.shape)
    return jvp(slope, [z.ref], [direction])[1].reshape([examples, count])
  }
  const outputHessians = np.moveaxis(vmap(column)(np.eye(count)), 0, -1).mul(examples)
  const rows = (...example: np.Array[]) => {
    const alone = example.map((leaf) => np.expandDims(leaf, 0))
    const given = tree.unflatten(structure, alone) as Tree[]
    const [value, pull] = vjp(((at: Tree) => outputs(at, ...refs(given))) as never, [tree.ref(params)] as never)
    const { shape } = value as np.Array
    const pulled = (unit: np.Array) => (pull as unknown as (slope: np.Array) => [Tree])(unit.reshape(shape))[0]
    return vmap(pulled)(np.eye(count))
  }
  const parts = tree.leaves(vmap(rows)(...leaves.map((leaf) => leaf.ref))) as np.Array[]
  const flat = order.map((place) => parts[place]!.reshape([examples * count, -1]))
  return { residuals, jacobian: np.concatenate(flat, 1), outputHessians }
}
