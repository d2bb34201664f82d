import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, real, smallDivisor } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { momentumModelStep } from '../parts/momentum-model.ts'

/**
 * MoMo-Adam: Adam whose step size follows from a model of the loss, made of the averages of losses and gradients and cut
 * off at a lower bound f*. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * d ← β1 d + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * D ← √(v / (1 - β2ᵗ)) + ε
 * f̄ ← β1 f̄ + (1 - β1) f
 * γ ← β1 γ + (1 - β1) ⟨g, θ⟩               ⟨·, ·⟩ over all tensors
 * a ← (1 + η λ) (f̄ - γ) + ⟨d, θ⟩,   ρ = 1 - β1ᵗ
 * τ ← min(η / ρ, max(0, a - (1 + η λ) ρ f*) / ⟨d, d / D⟩)
 * θ ← (θ - τ d / D) / (1 + η λ)            proximal decay
 * ```
 *
 * With `estimateMinimum` f* is estimated, and `lossMinimum` bounds it from below, as in `momo`.
 *
 * Defaults of the official code: η 0.01, which bounds τ, β (0.9, 0.999), ε 1e-8, λ 0, f* 0 (`lossMinimum`), no estimate.
 * `decay: 'decoupled'` is its `divide=False`. State: `d` and `v`, shaped like the parameter; the numbers `lossAverage`,
 * `productAverage` (γ), `updates` and, with an estimate, `minimum`, shared by all tensors.
 *
 * While all gradients are zero nothing moves, where the official code divides by zero. With coupled decay, λ is part of g
 * and not of the model.
 *
 * Schaipp, Ohana, Eickenberg, Defazio, Gower 2024, MoMo: Momentum Models for Adaptive Learning Rates, arXiv 2305.07583.
 */
export const momoAdam = defineOptimizer({
  name: 'momoAdam',
  title: 'MoMo-Adam',
  family: 'stepSize',
  paper: {
    title: 'MoMo: Momentum Models for Adaptive Learning Rates',
    authors: 'Schaipp, Ohana, Eickenberg, Defazio, Gower',
    year: 2024,
    arxiv: '2305.07583',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    lossMinimum: real(0),
  },
  options: { estimateMinimum: false },
  inputs: { loss: lossInput },
  state: {
    d: zeros(),
    v: zeros(),
    lossAverage: sharedScalar(0),
    productAverage: sharedScalar(0),
    updates: sharedScalar(0),
    minimum: sharedScalar(0, { when: ({ options }) => options.estimateMinimum === true }),
  },
  decay: 'proximal',
  search: { learningRate: logUniform(1e-3, 1) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, inputs, options, decay }) {
    const { beta1, beta2, learningRate, lossMinimum } = hyper
    const updates = state.updates.plus(1)
    const d = ema(state.d, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const scaled = d.over(v.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(hyper.epsilon))
    const lossAverage = ema(state.lossAverage, inputs.loss, beta1)
    const productAverage = ema(state.productAverage, g.times(p).sum('all'), beta1)
    const { stepSize, estimate } = momentumModelStep({
      loss: lossAverage,
      product: productAverage,
      current: d.times(p).sum('all'),
      squaredNorm: d.times(scaled).sum('all'),
      weight: biasCorrection(beta1, updates),
      learningRate,
      decay: decay === 'coupled' ? beta1.lifted(1) : learningRate.times(hyper.weightDecay).plus(1),
      lossMinimum,
      estimate: options.estimateMinimum ? where(updates.equals(1), lossMinimum, state.minimum) : undefined,
    })
    return {
      direction: scaled.times(where(learningRate.isGreaterThan(0), stepSize.over(learningRate), 0)),
      state: { d, v, lossAverage, productAverage, updates, ...(options.estimateMinimum ? { minimum: estimate } : {}) },
    }
  },
})
