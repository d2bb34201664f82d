import { defineOptimizer, type Optimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { scalar, zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { asMatrix, newtonSchulz } from '../parts/newton-schulz.ts'

/**
 * LANTON: Muon with a learning rate for each layer that falls with the noise of its gradient, measured in the norm that belongs
 * to the step.
 *
 * ```text
 * b ← β1 b + (1 - β1) g
 * h ← β2 h + (1 - β2) ‖g - g₋‖*²           g₋ the gradient before; h is 0 at the first step; one number per tensor
 * a ← α / √(α² + h)
 * θ ← (1 - η λ) θ - η √(a / amax) u(b)     amax the largest a of all tensors
 *
 * geometry    u(b)                          ‖·‖*
 * spectral    √(outputs / inputs) U Vᵀ      √(outputs / inputs) Σ singular values     b = U Σ Vᵀ, by Newton-Schulz
 * sign        sign(b)                       Σ |element|
 * rms         √size b / ‖b‖                 √size ‖·‖
 * ```
 *
 * `geometry: 'spectral'` (default) is for hidden matrices; what has fewer than two dimensions goes to `fallback`, by default
 * the `rms` form with the same defaults, whose rate follows η. The paper gives embeddings and the output layer to the `sign` form: do so by `groups`.
 * The rates are compared among the tensors of one optimizer, as in the paper within a group that shares a norm.
 *
 * Defaults, all ours: η 0.02, β1 0.95, β2 0.9, α 1, λ 0. α is of the size of the noise norms: far above them all layers step
 * alike. State: b and g₋ (`previous`), shaped like the parameter, and the number h.
 *
 * Written from the formulas of the paper; no official code was at hand. Of its two estimates of the noise this is the one
 * from successive gradients; the other needs a second gradient from other data. The sum of singular values is ⟨g - g₋, U Vᵀ⟩
 * with the U Vᵀ of five Newton-Schulz steps, whose singular values lie between 0.7 and 1.2.
 *
 * Hao, Gong, Xu, Wang, Liu 2025, Noise-Adaptive Layerwise Learning Rates: Accelerating Geometry-Aware Optimization for Deep
 * Neural Network Training, arXiv 2510.14009.
 */
export const lanton = defineOptimizer({
  name: 'lanton',
  title: 'LANTON',
  family: 'matrix',
  paper: {
    title:
      'Noise-Adaptive Layerwise Learning Rates: Accelerating Geometry-Aware Optimization for Deep Neural Network Training',
    authors: 'Hao, Gong, Xu, Wang, Liu',
    year: 2025,
    arxiv: '2510.14009',
  },
  hyper: {
    learningRate: nonNegative(0.02),
    beta1: decayRate(0.95),
    beta2: decayRate(0.9),
    alpha: positive(1),
    weightDecay: nonNegative(0),
  },
  options: { geometry: 'spectral' as 'spectral' | 'sign' | 'rms', newtonSchulzSteps: 5 },
  choices: { geometry: ['spectral', 'sign', 'rms'] },
  state: { b: zeros(), previous: zeros(), h: scalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1e-1), alpha: oneOf(0.01, 0.1, 1) },
  accepts: ({ rank }, { geometry }) => geometry !== 'spectral' || rank >= 2,
  needs: 'a matrix',
  fallback: (): Optimizer => lanton({ geometry: 'rms', learningRate: relativeRate(1) }),
  rule({ g, t, state, hyper, options, shape }) {
    const { geometry, newtonSchulzSteps } = options
    const orthogonal = (value: Value) => {
      const matrix = asMatrix(value, shape)
      const scale = Math.sqrt(matrix.outputs / Math.max(matrix.inputs, 1))
      return newtonSchulz(matrix, newtonSchulzSteps).times(scale).as(value)
    }
    const unit = (value: Value) => {
      const norm = value.norm()
      return value.times(where(norm.isGreaterThan(0), norm.power(-1).times(Math.sqrt(shape.size)).limited(), 0))
    }
    const direct = { spectral: orthogonal, sign: (value: Value) => value.sign(), rms: unit }[geometry]
    const b = ema(state.b, g, hyper.beta1)
    const change = g.minus(state.previous)
    const dual = change.times(direct(change)).sum()
    const h = where(t.equals(1), 0, ema(state.h, dual.square(), hyper.beta2))
    const rate = hyper.alpha.over(hyper.alpha.square().plus(h).sqrt())
    const share = rate.over(rate.largest('all')).sqrt()
    return { direction: direct(b).times(share), state: { b, previous: g, h } }
  },
})
