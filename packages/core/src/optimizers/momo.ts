import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, real } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { momentumModelStep } from '../parts/momentum-model.ts'

/**
 * MoMo: SGD with momentum whose step size follows from a model of the loss, made of the averages of losses and gradients
 * and cut off at a lower bound f*. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * d ← β d + (1 - β) g                      the first value at the first step
 * f̄ ← β f̄ + (1 - β) f                      the same
 * γ ← β γ + (1 - β) ⟨g, θ⟩                 the same; ⟨·, ·⟩ over all tensors
 * a ← (1 + η λ) (f̄ - γ) + ⟨d, θ⟩
 * τ ← min(η / ρ, max(0, a - (1 + η λ) ρ f*) / ‖d‖²)
 * θ ← (θ - τ d) / (1 + η λ)                proximal decay
 * ```
 *
 * ρ is 1. With biasCorrection the averages start at 0 and ρ is 1 - βᵗ. With `estimateMinimum` f* is estimated, and
 * `lossMinimum` bounds it from below:
 *
 * ```text
 * before the step: where a < (1 + η λ) ρ f*, f* ← max(a / (2 (1 + η λ) ρ), lossMinimum)
 * after it:        f* ← max((f̄ + ⟨d, θ⟩ - γ - τ ‖d‖² / 2) / ρ, lossMinimum)
 * ```
 *
 * Defaults of the official code: η 1, which bounds τ, β 0.9, λ 0, f* 0 (`lossMinimum`), no bias correction, no estimate.
 * State: `d`, shaped like the parameter; the numbers `lossAverage`, `productAverage` (γ), `updates` and, with an estimate,
 * `minimum`, shared by all tensors.
 *
 * While all gradients are zero nothing moves, where the official code divides by zero. With coupled decay, λ is part of g
 * and not of the model.
 *
 * Schaipp, Ohana, Eickenberg, Defazio, Gower 2024, MoMo: Momentum Models for Adaptive Learning Rates, arXiv 2305.07583.
 */
export const momo = defineOptimizer({
  name: 'momo',
  title: 'MoMo',
  family: 'stepSize',
  paper: {
    title: 'MoMo: Momentum Models for Adaptive Learning Rates',
    authors: 'Schaipp, Ohana, Eickenberg, Defazio, Gower',
    year: 2024,
    arxiv: '2305.07583',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta: decayRate(0.9),
    weightDecay: nonNegative(0),
    lossMinimum: real(0),
  },
  options: { biasCorrection: false, estimateMinimum: false },
  inputs: { loss: lossInput },
  state: {
    d: zeros(),
    lossAverage: sharedScalar(0),
    productAverage: sharedScalar(0),
    updates: sharedScalar(0),
    minimum: sharedScalar(0, { when: ({ options }) => options.estimateMinimum === true }),
  },
  decay: 'proximal',
  search: { learningRate: logUniform(0.01, 100) },
  rule({ p, g, t, state, hyper, inputs, options, decay }) {
    const { beta, learningRate, lossMinimum } = hyper
    const updates = state.updates.plus(1)
    const first = () => updates.equals(1)
    const product = g.times(p).sum('all')
    const d = ema(options.biasCorrection ? state.d : where(t.equals(1), g, state.d), g, beta)
    const start = (average: typeof product, value: typeof product) =>
      options.biasCorrection ? average : where(first(), value, average)
    const lossAverage = ema(start(state.lossAverage, inputs.loss), inputs.loss, beta)
    const productAverage = ema(start(state.productAverage, product), product, beta)
    const { stepSize, estimate } = momentumModelStep({
      loss: lossAverage,
      product: productAverage,
      current: d.times(p).sum('all'),
      squaredNorm: d.square().sum('all'),
      weight: options.biasCorrection ? biasCorrection(beta, updates) : beta.lifted(1),
      learningRate,
      decay: decay === 'coupled' ? beta.lifted(1) : learningRate.times(hyper.weightDecay).plus(1),
      lossMinimum,
      estimate: options.estimateMinimum ? where(first(), lossMinimum, state.minimum) : undefined,
    })
    return {
      direction: d.times(where(learningRate.isGreaterThan(0), stepSize.over(learningRate), 0)),
      state: { d, lossAverage, productAverage, updates, ...(options.estimateMinimum ? { minimum: estimate } : {}) },
    }
  },
})
