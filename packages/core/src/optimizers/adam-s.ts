import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/** Averages of squares below are those of gradients that float32 cannot square. */
const smallest = 1e-37

/**
 * AdamS: Adam with stable weight decay, which is divided by what Adam divides its gradients by on average.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * σ ← √(mean of v / (1 - β2ᵗ))              over all tensors
 * θ ← (1 - η λ / σ) θ - η (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 1e-4. State: `m` and `v`, shaped like the parameter, and
 * `vMaximum` with `amsgrad: true`, which takes the place of v in both. One more read of gradient and v for σ.
 *
 * Decay is the rule's own; with another style, or with λ 0, nothing is summed. Where all gradients are too
 * small for squares in float32 there is no decay; the official code divides by 0 there. pytorch_optimizer's AdamS divides the stored v by 1 - β2ᵗ at every step.
 *
 * Xie, Xu, Zhang, Sato, Sugiyama 2020, On the Overlooked Pitfalls of Weight Decay and How to Mitigate Them: A
 * Gradient-Norm Perspective (first as Stable Weight Decay Regularization), arXiv 2011.11152.
 */
export const adamS = defineOptimizer({
  name: 'adamS',
  title: 'AdamS',
  family: 'adaptive',
  paper: {
    title: 'On the Overlooked Pitfalls of Weight Decay and How to Mitigate Them: A Gradient-Norm Perspective',
    authors: 'Xie, Xu, Zhang, Sato, Sugiyama',
    year: 2020,
    arxiv: '2011.11152',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(1e-4),
  },
  options: { amsgrad: false },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 1e-4, 1e-3) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, options, decay, disabled, ownWeightDecay }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const newState = options.amsgrad ? { m, v, vMaximum } : { m, v }
    const correction = biasCorrection(beta2, t)
    const root = vMaximum.sqrt().over(correction.sqrt())
    const step = m.over(biasCorrection(beta1, t)).over(root.plus(epsilon))
    if (decay !== 'own' || disabled('weightDecay')) return { direction: step, state: newState }
    const mean = vMaximum.over(correction).mean('all')
    const stable = where(mean.isGreaterThan(smallest), ownWeightDecay.over(mean.sqrt()), 0)
    return { direction: step.plus(p.times(stable)), state: newState }
  },
})
