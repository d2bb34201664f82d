import { numpy as np, random, tree } from '@jax-js/jax'
import { adam, type Optimizer } from 'fallline'
import { checkNames, philox } from 'fallline/internal'
import type { Loss } from '../model.ts'
import { nameArrays, type Tree } from '../parameters.ts'
import { createTrainer, type Trainer } from '../trainer.ts'
import { type Compiled, compiled } from './second-derivatives.ts'

export interface HypernetworkOptions {
  /** Trains the hypernetwork; default `adam()`. */
  readonly optimizer?: Optimizer
  /** Moves the hyperparameters; default `adam()`. */
  readonly hyperparameterOptimizer?: Optimizer
  /**
   * The standard deviation of the normal distribution around the hyperparameters, in their own units, on which the hypernetwork is trained;
   * default 0.1. A wide one asks it for a larger part of the best response, a narrow one for little more than its slope.
   */
  readonly spread?: number
  /** Chooses the draws from it; default 0. */
  readonly seed?: number
}

/** What a hypernetwork is made of: functions of arrays of jax-js, traced and consuming as everywhere. */
export interface HypernetworkModel<
  Network extends Tree,
  Hyperparameters extends Tree,
  Weights extends Tree,
  Batch extends Tree[],
> {
  /** The weights that the hypernetwork answers to hyperparameters with. */
  readonly response: (network: Network, hyperparameters: Hyperparameters) => Weights
  readonly trainingLoss: Loss<Weights, [Hyperparameters, ...Batch]>
  readonly validationLoss: Loss<Weights, [Hyperparameters, ...Batch]>
}

/**
 * Tunes hyperparameters through a network that answers them with nearly optimal weights (Lorraine, Duvenaud 2018, "Stochastic Hyperparameter
 * Optimization through Hypernetworks"). Its parameters φ and the hyperparameters λ are trained in turns, so that there is one optimization and
 * not one within the other:
 *
 * - `train` moves φ down the training loss L_T(w_φ(λ + σ ε), λ + σ ε) with ε from a normal distribution, drawn anew for every step;
 * - `tune` moves λ down the validation loss L_V(w_φ(λ), λ).
 *
 * ```ts
 * import { hypernetwork } from '@fallline/jax'
 * import { init, numpy as np } from '@jax-js/jax'
 * import { adam } from 'fallline'
 *
 * await init('wasm')
 * // The best weight is λ, which a line can answer; on validation 3 is best.
 * const tuned = await hypernetwork(
 *   {
 *     response: ({ slope, offset }: { slope: np.Array; offset: np.Array }, lambda: np.Array) => slope.mul(lambda).add(offset),
 *     trainingLoss: (w: np.Array, lambda: np.Array) => np.square(w.sub(lambda)),
 *     validationLoss: (w: np.Array, _lambda: np.Array) => np.square(w.sub(3)),
 *   },
 *   { slope: np.array(0), offset: np.array(0) },
 *   np.array(0),
 *   { optimizer: adam({ learningRate: 0.1 }), hyperparameterOptimizer: adam({ learningRate: 0.03 }), spread: 1 },
 * )
 * for (let step = 0; step < 400; step++) {
 *   ;(await tuned.train()).dispose()
 *   ;(await tuned.tune()).dispose()
 * }
 * console.log(tuned.hyperparameters().item().toFixed(1), tuned.weights().item().toFixed(1)) // 3.0 3.0
 * tuned.dispose()
 * ```
 *
 * @param network the parameters of the hypernetwork to start with, a tree of float32 arrays; consumed.
 * @param hyperparameters those to start with, the same; consumed. Where they must be positive, let the losses take their exponentials.
 * @throws Error for an unknown option, a spread that is not above 0, a seed that is no whole number from 0 to below 2 ** 32, or trees that are
 * no float32 arrays.
 */
export async function hypernetwork<
  Network extends Tree,
  Hyperparameters extends Tree,
  Weights extends Tree,
  Batch extends Tree[],
>(
  model: HypernetworkModel<Network, Hyperparameters, Weights, Batch>,
  network: Network,
  hyperparameters: Hyperparameters,
  options: HypernetworkOptions = {},
): Promise<Hypernetwork<Network, Hyperparameters, Weights, Batch>> {
  checkNames('hypernetwork', options, ['optimizer', 'hyperparameterOptimizer', 'spread', 'seed'])
  const { optimizer = adam(), hyperparameterOptimizer = adam(), spread = 0.1, seed = 0 } = options
  if (!(spread > 0 && spread < Infinity))
    throw new Error(`hypernetwork: spread must be a number above 0, not ${spread}`)
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
    throw new Error(`hypernetwork: seed must be a whole number from 0 to below 2 ** 32, not ${seed}`)
  }
  nameArrays('hypernetwork', network)
  nameArrays('hypernetwork', hyperparameters)
  const { response, trainingLoss, validationLoss } = model as unknown as HypernetworkModel<Tree, Tree, Tree, Tree[]>
  const training = (of: Tree, given: Tree, ...batch: Tree[]) =>
    trainingLoss(response(of, tree.ref(given)), given, ...batch)
  const validation = (given: Tree, of: Tree, ...batch: Tree[]) =>
    validationLoss(response(of, tree.ref(given)), given, ...batch)
  const trainer = await createTrainer<Tree, Tree[]>(training, optimizer, network)
  try {
    const tuner = await createTrainer<Tree, Tree[]>(validation, hyperparameterOptimizer, hyperparameters)
    return new Hypernetwork(compiled(response), trainer as never, tuner as never, spread, seed)
  } catch (error) {
    trainer.dispose()
    throw error
  }
}

/** A hypernetwork in training with the hyperparameters that it answers. Made by `hypernetwork`. */
export class Hypernetwork<
  Network extends Tree,
  Hyperparameters extends Tree,
  Weights extends Tree,
  Batch extends Tree[],
> {
  /** What trains the hypernetwork: to save, to load and to set its hyperparameters. */
  readonly trainer: Trainer<Network, [Hyperparameters, ...Batch]>
  /** What moves the hyperparameters: the same. */
  readonly tuner: Trainer<Hyperparameters, [Network, ...Batch]>
  private readonly response: Compiled
  private readonly spread: number
  private readonly seed: number

  /** @internal use `hypernetwork` */
  constructor(
    response: Compiled,
    trainer: Trainer<Network, [Hyperparameters, ...Batch]>,
    tuner: Trainer<Hyperparameters, [Network, ...Batch]>,
    spread: number,
    seed: number,
  ) {
    this.response = response
    this.trainer = trainer
    this.tuner = tuner
    this.spread = spread
    this.seed = seed
  }

  /**
   * One step of the hypernetwork on hyperparameters that are drawn for it, and on a batch, which is consumed.
   * @returns the training loss where the network stood; it belongs to the caller.
   */
  async train(...batch: Batch): Promise<np.Array> {
    const word = philox([this.trainer.steps, 0, 0, 0], [this.seed, 0])[0]!
    const [leaves, structure] = tree.flatten(this.hyperparameters() as Tree) as [np.Array[], tree.JsTreeDef]
    const keys = [...random.split(random.key(np.array(Uint32Array.of(word), { shape: [] })), leaves.length)]
    const drawn = leaves.map((leaf, index) => leaf.add(random.normal(keys[index]!, leaf.shape).mul(this.spread)))
    return this.trainer.step(tree.unflatten(structure, drawn) as Hyperparameters, ...batch)
  }

  /**
   * One step of the hyperparameters on a validation batch, which is consumed.
   * @returns the validation loss where they stood; it belongs to the caller.
   */
  tune(...batch: Batch): Promise<np.Array> {
    return this.tuner.step(this.trainer.parameters(), ...batch)
  }

  /** The hyperparameters now; the arrays belong to the caller. */
  hyperparameters(): Hyperparameters {
    return this.tuner.parameters()
  }

  /** The weights that the hypernetwork answers these or other hyperparameters with, which are consumed; they belong to the caller. */
  weights(hyperparameters: Hyperparameters = this.hyperparameters()): Weights {
    return this.response(this.trainer.parameters(), hyperparameters) as Weights
  }

  /** Frees everything. */
  dispose(): void {
    this.trainer.dispose()
    this.tuner.dispose()
    this.response.dispose()
  }
}
