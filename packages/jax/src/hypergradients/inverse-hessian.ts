import { numpy as np, tree } from '@jax-js/jax'
import { checkNames } from 'fallline/internal'
import type { Tree } from '../parameters.ts'
import { add, inner, scaled } from './second-derivatives.ts'

/** Squares of a residual as a share of those at the start, below which float32 knows no better. */
const negligible = 1e-14

/** A way to multiply a vector with the inverse of a Hessian H by products with H alone. Its functions are traced. */
export interface InverseHessian {
  /** How many products with H it takes. */
  readonly products: number
  /** What is known before the first product. */
  start(vector: Tree): Tree
  /** What is known after one more. */
  advance(known: Tree, product: (vector: Tree) => Tree): Tree
  /** H⁻¹ v, as far as it is known. */
  solution(known: Tree): Tree
}

/**
 * The Neumann series of the inverse, α Σ_{j ≤ terms} (I − α H)ʲ v, where α is the `rate` (Lorraine, Vicol, Duvenaud 2020). It is what
 * `terms` + 1 steps of gradient descent with rate α see of the inverse, and converges where all eigenvalues of H are between 0 and 2/α: the
 * error along one with the eigenvalue h is (1 − α h)^(terms + 1). With `terms: 0` the inverse is taken for α I.
 *
 * @param options `terms`: products with H, by default 20; `rate`: below 2 over the largest eigenvalue of H, such as the learning rate of
 * gradient descent that trains the weights.
 * @throws Error for another option, terms that are no whole number from 0 on, or a rate that is not above 0.
 */
export function neumannSeries(options: { readonly terms?: number; readonly rate: number }): InverseHessian {
  checkNames('neumannSeries', options, ['terms', 'rate'])
  const { terms = 20, rate } = options
  checkWhole('neumannSeries', 'terms', terms, 0)
  if (!(rate > 0 && rate < Infinity)) throw new Error(`neumannSeries: rate must be a number above 0, not ${rate}`)
  return {
    products: terms,
    start: (vector) => [tree.ref(vector), vector],
    advance(known, product) {
      const [term, sum] = known as Tree[]
      const next = add(tree.ref(term!), scaled(-rate, product(term!)))
      return [tree.ref(next), add(sum!, next)]
    },
    solution: (known) => scaled(rate, (known as Tree[])[1]!),
  }
}

/**
 * Conjugate gradients (Hestenes, Stiefel 1952) on (H + `damping` I) x = v from 0: exact after as many iterations as H has different
 * eigenvalues, up to rounding. It stays with what it has when the residual is 1e-7 of v, and where the curvature along a direction is not
 * positive, as it may be before the weights are at a minimum.
 *
 * @param options `iterations`: products with H, by default 20; `damping`: by default 0.
 * @throws Error for another option, iterations that are no whole number from 1 on, or a damping that is not 0 or above.
 */
export function conjugateGradient(
  options: { readonly iterations?: number; readonly damping?: number } = {},
): InverseHessian {
  checkNames('conjugateGradient', options, ['iterations', 'damping'])
  const { iterations = 20, damping = 0 } = options
  checkWhole('conjugateGradient', 'iterations', iterations, 1)
  if (!(damping >= 0 && damping < Infinity)) {
    throw new Error(`conjugateGradient: damping must be a number from 0 on, not ${damping}`)
  }
  return {
    products: iterations,
    start(vector) {
      const squares = inner(tree.ref(vector), tree.ref(vector))
      const zeros = tree.map((x: np.Array) => np.zerosLike(x), tree.ref(vector)) as Tree
      return [zeros, tree.ref(vector), vector, squares.ref, squares.mul(negligible)]
    },
    advance(known, product) {
      const [solution, residual, direction, squares, enough] = known as [Tree, Tree, Tree, np.Array, np.Array]
      const image = add(product(tree.ref(direction)), scaled(damping, tree.ref(direction)))
      const curvature = inner(tree.ref(direction), tree.ref(image))
      const goesOn = np.where(curvature.ref.greater(0), squares.ref.greater(enough.ref), false)
      const step = np.where(goesOn.ref, squares.ref.div(np.where(goesOn.ref, curvature, 1)), 0)
      const left = add(residual, scaled(step.ref.neg(), image))
      const next = inner(tree.ref(left), tree.ref(left))
      const kept = next.ref.div(np.where(goesOn.ref, squares, 1))
      const turned = add(tree.ref(left), scaled(kept, tree.ref(direction)))
      const moved = add(solution, scaled(step, tree.ref(direction)))
      const chosen = tree.map((x: np.Array, y: np.Array) => np.where(goesOn.ref, x, y), turned, direction) as Tree
      return [moved, left, chosen, next, enough]
    },
    solution: (known) => (known as Tree[])[0]!,
  }
}

function checkWhole(caller: string, name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return
  throw new Error(`${caller}: ${name} must be a whole number from ${least} on, not ${value}`)
}
