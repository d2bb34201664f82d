import { numpy as np, type OwnedFunction, tree, valueAndGrad } from '@jax-js/jax'
import { checkNames } from 'fallline/internal'
import { type Loss, refs } from '../model.ts'
import { nameArrays, type Tree } from '../parameters.ts'
import { conjugateGradient, type InverseHessian } from './inverse-hessian.ts'
import { add, compiled, inner, scaled, secondDerivatives } from './second-derivatives.ts'

/** What the implicit function theorem gives. The arrays belong to the caller. */
export type ImplicitHypergradient<Hyperparameters extends Tree> = {
  /** The validation loss. */
  readonly loss: np.Array
  /** Its derivative by the hyperparameters. */
  readonly gradient: Hyperparameters
  /** How far the product with the inverse Hessian is off: ‖v − H x‖ / ‖v‖ for x in the place of H⁻¹ v. 0 is exact. */
  readonly residual: np.Array
}

/**
 * The derivative of a validation loss by hyperparameters of the training loss, by the implicit function theorem (Lorraine, Vicol, Duvenaud
 * 2020, "Optimizing Millions of Hyperparameters by Implicit Differentiation"):
 *
 *     dL_V/dλ = ∂L_V/∂λ − ∂L_V/∂w (∂²L_T/∂w∂wᵀ)⁻¹ ∂²L_T/∂w∂λᵀ
 *
 * where the weights w are, which is right at a minimum of the training loss and an approximation near it. Weights and hyperparameters can
 * so be moved in turns; memory is that of a few gradients however long the training was. λ must be in the training loss, as regularization,
 * weights of data or tasks, and augmentation are; for what the optimizer has, such as a learning rate, see {@link unrolledHypergradient}.
 *
 * ```ts
 * import { conjugateGradient, implicitHypergradient } from '@fallline/jax'
 * import { init, numpy as np } from '@jax-js/jax'
 *
 * await init('wasm')
 * // The best weight is 3 / (1 + λ).
 * const training = (w: np.Array, lambda: np.Array) => np.square(w.ref.sub(3)).add(lambda.mul(np.square(w)))
 * const validation = (w: np.Array, _lambda: np.Array) => np.square(w.sub(1))
 * const hypergradient = implicitHypergradient(training, validation, { inverse: conjugateGradient({ iterations: 1 }) })
 * const { loss, gradient, residual } = hypergradient(np.array(2), np.array(0.5), [], [])
 * console.log(loss.item(), gradient.item().toFixed(4), residual.item().toFixed(4)) // 1 -2.6667 0.0000
 * hypergradient.dispose()
 * ```
 *
 * What it gives is a function of weights, hyperparameters, a training batch and a validation batch, each a list, all consumed. It can be
 * called inside of `jit`.
 *
 * @param trainingLoss of weights, hyperparameters and a batch, a scalar; twice differentiable.
 * @param validationLoss of the same; it need not depend on the hyperparameters.
 * @param options `inverse`: how H⁻¹ v is found, by default {@link conjugateGradient} with 20 iterations; or {@link neumannSeries}.
 * @throws Error for an unknown option, and from the function for weights or hyperparameters that are no float32 arrays.
 */
export function implicitHypergradient<Weights extends Tree, Hyperparameters extends Tree, Batch extends Tree[]>(
  trainingLoss: Loss<Weights, [Hyperparameters, ...Batch]>,
  validationLoss: Loss<Weights, [Hyperparameters, ...Batch]>,
  options: { readonly inverse?: InverseHessian } = {},
): OwnedFunction<
  (
    weights: Weights,
    hyperparameters: Hyperparameters,
    batch: Batch,
    validationBatch: Batch,
  ) => ImplicitHypergradient<Hyperparameters>
> {
  checkNames('implicitHypergradient', options, ['inverse'])
  const validation = differentiated(validationLoss as never)
  const response = implicitResponse(trainingLoss as never, options.inverse)
  const hypergradient = (weights: Tree, hyperparameters: Tree, batch: Tree[], validationBatch: Tree[]) => {
    nameArrays('implicitHypergradient', weights)
    nameArrays('implicitHypergradient', hyperparameters)
    const [loss, [slope, direct]] = validation(tree.ref(weights), tree.ref(hyperparameters), validationBatch)
    const { gradient, residual } = response(weights, hyperparameters, batch, slope)
    return { loss, gradient: add(direct, gradient), residual }
  }
  const dispose = () => {
    validation.dispose()
    response.dispose()
  }
  return Object.assign(hypergradient, { dispose }) as never
}

/** A loss on a batch with its derivatives by weights and hyperparameters. */
export function differentiated(loss: Loss) {
  const traced = (weights: Tree, hyperparameters: Tree, batch: Tree[]) => {
    const at = (w: Tree, given: Tree) => loss(w, given, ...refs(batch))
    const both = valueAndGrad(at as never, { argnums: [0, 1] }) as unknown as (...given: Tree[]) => Tree
    return both(weights, hyperparameters)
  }
  return compiled(traced) as unknown as OwnedFunction<
    (weights: Tree, hyperparameters: Tree, batch: Tree[]) => [np.Array, [weights: Tree, hyperparameters: Tree]]
  >
}

/**
 * What a function whose derivative by the weights is v changes by with the hyperparameters, because the weights that minimize the loss do:
 * −vᵀ H⁻¹ ∂²L/∂w∂λ. All arguments are consumed.
 */
export function implicitResponse(loss: Loss, inverse: InverseHessian = conjugateGradient()) {
  const start = compiled((vector: Tree) => inverse.start(vector))
  const advance = compiled((weights: Tree, hyperparameters: Tree, batch: Tree[], known: Tree) =>
    inverse.advance(
      known,
      (vector) => secondDerivatives(loss, tree.ref(weights), tree.ref(hyperparameters), batch, vector)[0],
    ),
  )
  const end = compiled((weights: Tree, hyperparameters: Tree, batch: Tree[], known: Tree, vector: Tree) => {
    const solution = inverse.solution(known)
    const [image, mixed] = secondDerivatives(loss, weights, hyperparameters, batch, solution)
    const left = add(tree.ref(vector), scaled(-1, image))
    const [missed, whole] = [inner(tree.ref(left), left), inner(tree.ref(vector), vector)]
    const residual = np.sqrt(missed.div(np.where(whole.ref.greater(0), whole, 1)))
    return { gradient: scaled(-1, mixed), residual }
  })
  const response = (weights: Tree, hyperparameters: Tree, batch: readonly Tree[], vector: Tree) => {
    let known = start(tree.ref(vector))
    for (let product = 0; product < inverse.products; product++) {
      known = advance(tree.ref(weights), tree.ref(hyperparameters), refs(batch), known)
    }
    return end(weights, hyperparameters, [...batch], known, vector) as { gradient: Tree; residual: np.Array }
  }
  const dispose = () => {
    for (const each of [start, advance, end]) each.dispose()
  }
  return Object.assign(response, { dispose })
}
