import { grad, jit, numpy as np, type OwnedFunction, tree } from '@jax-js/jax'
import { directionalDerivative } from '../directional-derivative.ts'
import { type Loss, refs } from '../model.ts'
import type { Tree } from '../parameters.ts'

/** A function of trees, compiled once for each set of shapes; consumes what it is given. */
export type Compiled = OwnedFunction<(...given: Tree[]) => Tree>

/** Compiles a function of trees. Inside of another `jit` it becomes a part of that. */
export function compiled(traced: (...given: never[]) => Tree): Compiled {
  return jit(traced as never) as unknown as Compiled
}

/**
 * The products of a vector v, as long as the weights, with the second derivatives of a loss L(w, λ): H v, where H is the Hessian by w, and
 * vᵀ ∂²L/∂w∂λ. Both are derivatives of ⟨∇L, v⟩. To be traced.
 */
export function secondDerivatives(
  loss: Loss,
  weights: Tree,
  hyperparameters: Tree,
  batch: readonly Tree[],
  vector: Tree,
): [product: Tree, mixed: Tree] {
  const slope = (at: Tree, given: Tree) =>
    directionalDerivative((point) => loss(point, tree.ref(given), ...refs(batch)), at, tree.ref(vector))[0]
  const both = grad(slope as never, { argnums: [0, 1] }) as unknown as (...given: Tree[]) => [Tree, Tree]
  return both(weights, hyperparameters)
}

/** Two trees added, leaf by leaf; consumes both. */
export function add<Of extends Tree>(a: Of, b: Of): Of {
  return tree.map((x: np.Array, y: np.Array) => x.add(y), a, b) as Of
}

/** Every leaf times one number, which is borrowed. */
export function scaled(factor: np.Array | number, of: Tree): Tree {
  return tree.map((x: np.Array) => x.mul(typeof factor === 'number' ? factor : factor.ref), of) as Tree
}

/** The inner product of two trees; consumes both. */
export function inner(a: Tree, b: Tree): np.Array {
  const products = tree.leaves(tree.map((x: np.Array, y: np.Array) => np.sum(x.mul(y)), a, b) as Tree) as np.Array[]
  return products.reduce((sum, product) => sum.add(product), np.array(0))
}
