import { defineTransform } from '../language/definition.ts'
import { decayRate, positive, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { sharedScalar } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'

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

/**
 * Scales the gradient of each tensor down to a root mean square of at most `maximum` (default 1):
 * `g ← g min(1, maximum / RMS(g))`, which does not depend on the size of the tensor. Reads the gradient once more. It is the
 * clipping of Adafactor (Shazeer, Stern 2018, arXiv 1804.04235), there of the update, here of the gradient.
 */
export const clipByRootMeanSquare = defineTransform({
  name: 'clipByRootMeanSquare',
  title: 'Clipping by root mean square',
  hyper: { maximum: positive(1) },
  gradient: ({ g, hyper }) => ({ gradient: g.times(hyper.maximum.over(g.square().mean().sqrt()).minimum(1)) }),
})

/**
 * ZClip: scales all gradients down when their common norm n stands out from those before.
 *
 * ```text
 * first warmupSteps steps:  μ, σ² ← mean and variance of the norms so far; nothing is scaled
 * z ← (n - μ) / (σ + ε)
 * c ← μ + threshold² σ / z  where z > threshold, else n
 * g ← g c / n
 * μ ← α μ + (1 - α) c;   σ² ← α σ² + (1 - α) (c - μ)²        μ after the step
 * ```
 *
 * Defaults of the official code: `alpha` 0.97, `threshold` 2.5, `warmupSteps` 25, `epsilon` 1e-6. State: three numbers for all
 * tensors. The official `max_grad_norm` is {@link clipByGlobalNorm} inside.
 *
 * Kumar, Owen, Chowdhury, Güra 2025, ZClip: Adaptive Spike Mitigation for LLM Pre-Training, arXiv 2504.02507.
 */
export const zClip = defineTransform({
  name: 'zClip',
  title: 'ZClip',
  paper: {
    title: 'ZClip: Adaptive Spike Mitigation for LLM Pre-Training',
    authors: 'Kumar, Owen, Chowdhury, Güra',
    year: 2025,
    arxiv: '2504.02507',
  },
  hyper: {
    alpha: decayRate(0.97),
    threshold: positive(2.5),
    warmupSteps: stepCount(25),
    epsilon: smallDivisor(1e-6),
  },
  state: { mean: sharedScalar(0), variance: sharedScalar(0), count: sharedScalar(0) },
  gradient({ g, state, hyper }) {
    const count = state.count.plus(1)
    const warm = count.isGreaterThan(hyper.warmupSteps)
    const norm = g.norm('all')
    const deviation = state.variance.sqrt()
    const z = norm.minus(state.mean).over(deviation.plus(hyper.epsilon))
    const spikes = warm.and(z.isGreaterThan(hyper.threshold))
    const clipped = where(spikes, state.mean.plus(hyper.threshold.square().times(deviation).over(z)), norm)
    // Welford's way to the mean and variance of all norms so far is an average with the weight 1 / count.
    const kept = where(warm, hyper.alpha, count.power(-1).negated().plus(1))
    const mean = ema(state.mean, clipped, kept)
    const early = state.variance.times(kept).plus(clipped.minus(state.mean).times(clipped.minus(mean)).over(count))
    const late = ema(state.variance, clipped.minus(mean).square(), hyper.alpha)
    return {
      gradient: g.times(where(spikes, clipped.over(norm), 1)),
      state: { mean, variance: where(warm, late, early), count },
    }
  },
})
