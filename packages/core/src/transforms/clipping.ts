import { defineTransform } from '../language/definition.ts'
import { positive } from '../language/hyperparameters.ts'

/**
 * Clips every element of the gradient to the interval from -maximum to maximum: `g ← min(max(g, -maximum), maximum)`.
 * Hyperparameter `maximum`, default 1. Stays within the update's own pass.
 */
export const clipByValue = defineTransform({
  name: 'clipByValue',
  title: 'Clipping by value',
  hyper: { maximum: positive(1) },
  gradient: ({ g, hyper }) => ({ gradient: g.minimum(hyper.maximum).maximum(hyper.maximum.negated()) }),
})

/**
 * Scales the gradient of each tensor down to a norm of at most `maximumNorm` (default 1):
 * `g ← g min(1, maximumNorm / ‖g‖)`. Reads the gradient once more, for the norm.
 *
 * Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks, arXiv 1211.5063.
 */
export const clipByNorm = defineTransform({
  name: 'clipByNorm',
  title: 'Clipping by tensor norm',
  hyper: { maximumNorm: positive(1) },
  gradient: ({ g, hyper }) => ({ gradient: g.times(hyper.maximumNorm.over(g.norm()).minimum(1)) }),
})

/**
 * Scales all gradients by one factor so that the norm over all tensors is at most `maximumNorm` (default 1):
 * `g ← g min(1, maximumNorm / ‖all g‖)`. Tensors without a gradient this step do not count. Reads the gradients once
 * more, for the norm. PyTorch's `clip_grad_norm_` adds 1e-6 to the norm; this one, like optax, does not.
 *
 * Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks, arXiv 1211.5063.
 */
export const clipByGlobalNorm = defineTransform({
  name: 'clipByGlobalNorm',
  title: 'Clipping by global norm',
  hyper: { maximumNorm: positive(1) },
  gradient: ({ g, hyper }) => ({ gradient: g.times(hyper.maximumNorm.over(g.norm('all')).minimum(1)) }),
})
