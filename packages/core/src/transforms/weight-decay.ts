import { defineTransform } from '../language/definition.ts'
import { nonNegative } from '../language/hyperparameters.ts'

/**
 * Adds decoupled weight decay to any optimizer: `θ ← (1 - η λ) θ - η direction`. Hyperparameter `weightDecay` λ, default
 * 0.01. Every optimizer with a hyperparameter `weightDecay` has this built in; wrap those that have none.
 *
 * Loshchilov, Hutter 2019, Decoupled Weight Decay Regularization, arXiv 1711.05101.
 */
export const decoupledWeightDecay = defineTransform({
  name: 'decoupledWeightDecay',
  title: 'Decoupled weight decay',
  hyper: { weightDecay: nonNegative(0.01) },
  decay: 'decoupled',
})

/** Adds the gradient of `λ/2 ‖θ‖²` to the gradient: `g ← g + λ θ`. Hyperparameter `weightDecay` λ, default 0.01. */
export const coupledWeightDecay = defineTransform({
  name: 'coupledWeightDecay',
  title: 'Coupled weight decay',
  hyper: { weightDecay: nonNegative(0.01) },
  decay: 'coupled',
})

/**
 * Adds proximal weight decay to any optimizer: `θ ← (θ - η direction) / (1 + η λ)`, the exact minimizer of the penalty
 * around the step. Hyperparameter `weightDecay` λ, default 0.01.
 *
 * Zhuang, Liu, Cutkosky, Orabona 2022, Understanding AdamW through Proximal Methods, arXiv 2202.00089.
 */
export const proximalWeightDecay = defineTransform({
  name: 'proximalWeightDecay',
  title: 'Proximal weight decay',
  hyper: { weightDecay: nonNegative(0.01) },
  decay: 'proximal',
})
