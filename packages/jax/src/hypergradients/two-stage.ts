import { type numpy as np, type OwnedFunction, tree, vjp } from '@jax-js/jax'
import { checkNames } from 'fallline/internal'
import type { Loss } from '../model.ts'
import type { Tree } from '../parameters.ts'
import { implicitResponse } from './implicit.ts'
import type { InverseHessian } from './inverse-hessian.ts'
import { add, compiled } from './second-derivatives.ts'
import { type UnrolledOptions, unrolledHypergradient } from './unrolled.ts'

/** The losses of pre-training and fine tuning, each of weights, hyperparameters and a batch, a scalar. */
export interface TwoStageLosses<
  Pretrained extends Tree,
  Weights extends Tree,
  Hyperparameters extends Tree,
  PretrainingBatch extends Tree[],
  Batch extends Tree[],
> {
  readonly pretraining: Loss<Pretrained, [Hyperparameters, ...PretrainingBatch]>
  readonly fineTuning: Loss<Weights, [Hyperparameters, ...Batch]>
  readonly validation: Loss<Weights, [Hyperparameters, ...Batch]>
}

export interface TwoStageOptions<Pretrained extends Tree, Weights extends Tree, Hyperparameters extends Tree>
  extends UnrolledOptions<Hyperparameters> {
  /** Where fine tuning starts; by default where pre-training ended. A new head is added here. */
  readonly start?: (pretrained: Pretrained, hyperparameters: Hyperparameters) => Weights
  /** How H⁻¹ v of pre-training is found; by default conjugate gradients with 20 iterations. */
  readonly inverse?: InverseHessian
}

/** What differentiation through both stages gives. The arrays belong to the caller. */
export interface TwoStageGradient<Weights extends Tree, Hyperparameters extends Tree> {
  /** The validation loss after fine tuning. */
  readonly loss: np.Array
  /** Its derivative by the hyperparameters of pre-training. */
  readonly gradient: Hyperparameters
  /** How far the product with the inverse Hessian of pre-training is off: see {@link implicitHypergradient}. */
  readonly residual: np.Array
  /** The weights after fine tuning. */
  readonly weights: Weights
}

/**
 * The derivative of the validation loss after fine tuning by hyperparameters of pre-training, such as weights of tasks or an augmentation
 * (Raghu, Lorraine, Kornblith, McDermott, Duvenaud 2021, "Meta-Learning to Improve Pre-Training"). Fine tuning is short, so it is gone
 * through in reverse ({@link unrolledHypergradient}), which gives the derivative v by the weights that it starts with. Pre-training is long and
 * ends near a minimum, so the implicit function theorem is applied there ({@link implicitHypergradient}):
 *
 *     dL_V/dλ = −v (∂²L_P/∂w∂wᵀ)⁻¹ ∂²L_P/∂w∂λᵀ
 *
 * and where λ is in fine tuning or validation too, the derivatives through these are added.
 *
 * ```ts
 * import { gradientTransformation, twoStageGradient } from '@fallline/jax'
 * import { init, numpy as np } from '@jax-js/jax'
 * import { sgd } from 'fallline'
 *
 * await init('wasm')
 * const towards = (to: number) => (w: np.Array, _lambda: np.Array) => np.square(w.sub(to)).mul(0.5)
 * const pretraining = (w: np.Array, lambda: np.Array) => np.square(w.sub(lambda))
 * const gradient = twoStageGradient(
 *   { pretraining, fineTuning: towards(0), validation: towards(2) },
 *   { optimizer: gradientTransformation(sgd({ learningRate: 0.5 })) },
 * )
 * // Pre-training ends at λ = 4, and two steps of fine tuning at λ / 4 = 1, where the validation loss falls by 1 for each 1 further.
 * const found = gradient(np.array(4), np.array(4), [], [[], []], [])
 * console.log(found.weights.item(), found.loss.item(), found.gradient.item()) // 1 0.5 -0.25
 * gradient.dispose()
 * ```
 *
 * What it gives is a function of pre-trained weights, hyperparameters, a batch of pre-training, a batch for every step of fine tuning, and a
 * validation batch. It consumes them.
 *
 * @throws Error for an unknown option, and all that {@link unrolledHypergradient} throws.
 */
export function twoStageGradient<
  Pretrained extends Tree,
  Weights extends Tree,
  Hyperparameters extends Tree,
  PretrainingBatch extends Tree[],
  Batch extends Tree[],
>(
  losses: TwoStageLosses<Pretrained, Weights, Hyperparameters, PretrainingBatch, Batch>,
  options: TwoStageOptions<Pretrained, Weights, Hyperparameters>,
): OwnedFunction<
  (
    pretrained: Pretrained,
    hyperparameters: Hyperparameters,
    pretrainingBatch: PretrainingBatch,
    batches: readonly Batch[],
    validationBatch: Batch,
  ) => TwoStageGradient<Weights, Hyperparameters>
> {
  checkNames('twoStageGradient', options, ['optimizer', 'truncation', 'start', 'inverse'])
  const { start, inverse, ...unrolled } = options as unknown as TwoStageOptions<Tree, Tree, Tree>
  const fineTuned = unrolledHypergradient(losses.fineTuning as Loss, losses.validation as Loss, unrolled)
  const response = implicitResponse(losses.pretraining as unknown as Loss, inverse)
  const begin = compiled((pretrained: Tree, hyperparameters: Tree) => start!(pretrained, hyperparameters))
  const pullBack = compiled((pretrained: Tree, hyperparameters: Tree, slope: Tree) => {
    const [, pull] = vjp(start as never, [pretrained, hyperparameters] as never) as unknown as [
      Tree,
      (slope: Tree) => [Tree, Tree],
    ]
    return pull(slope)
  })

  const gradient = (
    pretrained: Tree,
    hyperparameters: Tree,
    pretrainingBatch: Tree[],
    batches: readonly Tree[][],
    validationBatch: Tree[],
  ): TwoStageGradient<Tree, Tree> => {
    const weights = start ? begin(tree.ref(pretrained), tree.ref(hyperparameters)) : tree.ref(pretrained)
    const tuned = fineTuned({ weights }, tree.ref(hyperparameters), batches, validationBatch)
    let [slope, direct] = [tuned.weightsGradient, tuned.gradient]
    if (start) {
      const [ofPretrained, ofStart] = pullBack(tree.ref(pretrained), tree.ref(hyperparameters), slope) as [Tree, Tree]
      ;[slope, direct] = [ofPretrained, add(direct, ofStart)]
    }
    const found = response(pretrained, hyperparameters, pretrainingBatch, slope)
    tree.dispose(tuned.end.state)
    return {
      loss: tuned.loss,
      gradient: add(direct, found.gradient),
      residual: found.residual,
      weights: tuned.end.weights,
    }
  }
  const dispose = () => {
    for (const each of [fineTuned, response, begin, pullBack]) each.dispose()
  }
  return Object.assign(gradient, { dispose }) as never
}
