import { grad, numpy as np, type OwnedFunction, tree, vjp } from '@jax-js/jax'
import { checkNames } from 'fallline/internal'
import type { GradientTransformation } from '../gradient-transformation.ts'
import { type Loss, refs } from '../model.ts'
import { nameArrays, type Tree } from '../parameters.ts'
import { differentiated } from './implicit.ts'
import { add, compiled, secondDerivatives } from './second-derivatives.ts'

/** Where training stands. */
export interface TrainingPoint<Weights extends Tree> {
  readonly weights: Weights
  /** The state of the optimizer; without one it begins. */
  readonly state?: Tree
  /** Steps that were taken, by default 0: schedules and bias corrections go by them. */
  readonly steps?: number
}

/** What reverse mode through training gives. The arrays belong to the caller. */
export interface UnrolledHypergradient<Weights extends Tree, Hyperparameters extends Tree> {
  /** The validation loss after the steps. */
  readonly loss: np.Array
  /** Its derivative by the hyperparameters. */
  readonly gradient: Hyperparameters
  /** Its derivative by the weights before the first step that is differentiated through. */
  readonly weightsGradient: Weights
  /** Where training stands now: the start of the next call. */
  readonly end: Required<TrainingPoint<Weights>>
}

export interface UnrolledOptions<Hyperparameters extends Tree> {
  /**
   * What trains the weights: `gradientTransformation` of any optimizer that it takes, or a pair of functions of your own. A function makes
   * it of the hyperparameters, for those that are the optimizer's; what it is given is borrowed, so it takes `.ref` of what it uses.
   */
  readonly optimizer: GradientTransformation | ((hyperparameters: Hyperparameters) => GradientTransformation)
  /** Differentiates through the last steps alone, so many at most (Shaban et al. 2019); by default through all. */
  readonly truncation?: number
}

/**
 * The derivative of a validation loss by hyperparameters, in reverse through the steps of training: exact for these steps, whether they reach
 * a minimum or not, and for hyperparameters of the optimizer too (Maclaurin, Duvenaud, Adams 2015; Franceschi et al. 2017). One copy of
 * weights and state is kept for every step that is differentiated through. Where training contracts, earlier steps matter geometrically
 * less, so truncation to the last ones costs little.
 *
 * ```ts
 * import { type GradientTransformation, unrolledHypergradient } from '@fallline/jax'
 * import { init, numpy as np, tree } from '@jax-js/jax'
 *
 * await init('wasm')
 * const loss = (w: np.Array, _rate: np.Array) => np.square(w).mul(0.5)
 * // Gradient descent with the rate e^λ.
 * const descent = (logarithm: np.Array): GradientTransformation => ({
 *   init: () => [],
 *   update: (updates, state) => [tree.map((g: np.Array) => g.mul(np.exp(logarithm.ref)).neg(), updates), state] as never,
 * })
 * const hypergradient = unrolledHypergradient(loss, loss, { optimizer: descent })
 * const start = { weights: np.array(2) }
 * const { gradient, end } = hypergradient(start, np.log(np.array(0.5)), [[], [], []], [])
 * // w₃ = 2 (1 − rate)³, so the loss is 2 (1 − rate)⁶, and its derivative by λ is −12 rate (1 − rate)⁵.
 * console.log(end.weights.item().toFixed(4), gradient.item().toFixed(4)) // 0.2500 -0.1875
 * hypergradient.dispose()
 * ```
 *
 * What it gives is a function of where training stands, hyperparameters, a batch for every step and a validation batch. It consumes them.
 *
 * @param trainingLoss of weights, hyperparameters and a batch, a scalar; twice differentiable.
 * @param validationLoss of the same; it need not depend on the hyperparameters.
 * @throws Error for an unknown option or a truncation that is no whole number from 1 on; from the function for weights or hyperparameters that
 * are no float32 arrays, no batch, or state in fewer bits, which has no derivative.
 */
export function unrolledHypergradient<Weights extends Tree, Hyperparameters extends Tree, Batch extends Tree[]>(
  trainingLoss: Loss<Weights, [Hyperparameters, ...Batch]>,
  validationLoss: Loss<Weights, [Hyperparameters, ...Batch]>,
  options: UnrolledOptions<Hyperparameters>,
): OwnedFunction<
  (
    start: TrainingPoint<Weights>,
    hyperparameters: Hyperparameters,
    batches: readonly Batch[],
    validationBatch: Batch,
  ) => UnrolledHypergradient<Weights, Hyperparameters>
> {
  const caller = 'unrolledHypergradient'
  checkNames(caller, options, ['optimizer', 'truncation'])
  const { optimizer, truncation = Infinity } = options as UnrolledOptions<Tree>
  if (truncation !== Infinity && !(Number.isInteger(truncation) && truncation >= 1)) {
    throw new Error(`${caller}: truncation must be a whole number from 1 on, not ${truncation}`)
  }
  const optimizerAt = (given: Tree) => (typeof optimizer === 'function' ? optimizer(given) : optimizer)
  const loss = trainingLoss as unknown as Loss
  const slopeAt = (weights: Tree, hyperparameters: Tree, batch: readonly Tree[]) =>
    grad(loss as (at: Tree, ...given: Tree[]) => np.Array)(
      tree.ref(weights) as never,
      tree.ref(hyperparameters) as never,
      ...(refs(batch) as never[]),
    ) as Tree
  const moved = (hyperparameters: Tree, weights: Tree, slope: Tree, state: Tree, scalars: Tree): [Tree, Tree] => {
    const [updates, next] = optimizerAt(hyperparameters).update(slope, state, tree.ref(weights), scalars)
    return [add(weights, updates), next]
  }

  const forward = compiled((weights: Tree, state: Tree, hyperparameters: Tree, batch: Tree[], scalars: Tree) =>
    moved(hyperparameters, weights, slopeAt(weights, hyperparameters, batch), state, scalars),
  )
  const backward = compiled(
    (weights: Tree, state: Tree, hyperparameters: Tree, batch: Tree[], scalars: Tree, after: [Tree, Tree[], Tree]) => {
      const [weightsAfter, stateAfter, gradient] = after
      const { floats, joined } = parted(state)
      const update = (w: Tree, slope: Tree, own: np.Array[], given: Tree) => {
        const [next, nextState] = moved(given, w, slope, joined(own), tree.ref(scalars))
        return [next, parted(nextState).floats]
      }
      const slope = slopeAt(weights, hyperparameters, batch)
      const primals = [tree.ref(weights), slope, floats, tree.ref(hyperparameters)]
      const [, pull] = vjp(update as never, primals as never) as unknown as [Tree, (after: Tree) => Tree[]]
      const [direct, ofSlope, ofState, ofGiven] = pull([weightsAfter, stateAfter]) as [Tree, Tree, Tree, Tree]
      const [product, mixed] = secondDerivatives(loss, weights, hyperparameters, batch, ofSlope)
      return [add(direct, product), ofState, add(gradient, add(ofGiven, mixed))]
    },
  )
  const validation = differentiated(validationLoss as never)

  const hypergradient = (
    start: TrainingPoint<Tree>,
    hyperparameters: Tree,
    batches: readonly Tree[][],
    validationBatch: Tree[],
  ): UnrolledHypergradient<Tree, Tree> => {
    nameArrays(caller, start.weights)
    nameArrays(caller, hyperparameters)
    if (batches.length === 0) throw new Error(`${caller}: there must be a batch for every step, and one step at least`)
    const own = optimizerAt(hyperparameters)
    const { steps = 0 } = start
    let { weights } = start
    let state = start.state ?? own.init(tree.ref(weights))
    const passed: Tree[][] = []
    for (const [index, batch] of batches.entries()) {
      const scalars = own.scalars?.(steps + index + 1) ?? []
      const given = [weights, state, tree.ref(hyperparameters), batch, scalars]
      if (index >= batches.length - truncation) passed.push(refs(given))
      ;[weights, state] = forward(...given) as [Tree, Tree]
    }
    const [value, slopes] = validation(tree.ref(weights), tree.ref(hyperparameters), validationBatch)
    let after: Tree = [slopes[0], parted(state).floats.map((array) => np.zerosLike(array.ref)), slopes[1]]
    for (const given of passed.reverse()) after = backward(...given, after)
    const [weightsGradient, ofState, gradient] = after as [Tree, Tree, Tree]
    tree.dispose(ofState)
    tree.dispose(hyperparameters)
    return { loss: value, gradient, weightsGradient, end: { weights, state, steps: steps + batches.length } }
  }
  const dispose = () => {
    for (const each of [forward, backward, validation]) each.dispose()
  }
  return Object.assign(hypergradient, { dispose }) as never
}

/**
 * A state as what has derivatives and the rest; borrows it.
 * @throws Error for arrays of other numbers than float32: they are numbers in fewer bits.
 */
function parted(state: Tree): { floats: np.Array[]; joined: (floats: np.Array[]) => Tree } {
  const [leaves, structure] = tree.flatten(state) as [np.Array[], tree.JsTreeDef]
  const isFloat = ({ dtype }: np.Array) => dtype === 'float32'
  const other = leaves.find((leaf) => !isFloat(leaf) && leaf.shape.length > 0)
  if (other) {
    throw new Error(
      `unrolledHypergradient: the optimizer keeps an array of ${other.dtype}, which has no derivative; take one that keeps float32`,
    )
  }
  return {
    floats: leaves.filter(isFloat),
    joined(floats) {
      const given = floats.values()
      const all = leaves.map((leaf) => (isFloat(leaf) ? (given.next().value as np.Array) : leaf.ref))
      return tree.unflatten(structure, all) as Tree
    },
  }
}
