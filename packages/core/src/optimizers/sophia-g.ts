import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, stepCount } from '../language/hyperparameters.ts'
import { inputArray } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Sophia-G: momentum divided by a Gauss-Newton-Bartlett estimate of the Hessian's diagonal, clipped element by element.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * θ ← (1 - η λ) θ - η sign(m) min(|m| / (ρ B h + 1e-15), 1)
 * every k steps:  h ← β2 h + (1 - β2) ĝ²                                   after θ has moved
 * ```
 *
 * The input `sampledGradient`, wanted every k steps, is ĝ: the gradient of the mean loss over a batch whose labels are
 * drawn from the model's own predictions. Defaults of the official code: η 1e-4, β (0.965, 0.99), ρ 0.04, λ 0.1, k 10, and
 * B, the number of examples (tokens) in the batch, 5120. State: m and h. As long as h is 0 every element moves by η.
 *
 * Liu, Li, Hall, Liang, Ma 2023, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training,
 * arXiv 2305.14342.
 */
export const sophiaG = defineOptimizer({
  name: 'sophiaG',
  title: 'Sophia-G',
  family: 'curvature',
  paper: {
    title: 'Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training',
    authors: 'Liu, Li, Hall, Liang, Ma',
    year: 2023,
    arxiv: '2305.14342',
  },
  hyper: {
    learningRate: nonNegative(1e-4),
    beta1: decayRate(0.965),
    beta2: decayRate(0.99),
    rho: positive(0.04),
    batchSize: positive(5120),
    hessianPeriod: stepCount(10),
    weightDecay: nonNegative(0.1),
  },
  inputs: { sampledGradient: inputArray('the gradient on labels that are drawn from the predictions of the model') },
  state: { m: zeros(), h: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), rho: oneOf(0.01, 0.04, 0.1) },
  largestGradient: largestSquared,
  rule({ g, state, hyper, inputs, every }) {
    const m = ema(state.m, g, hyper.beta1)
    const scale = state.h.times(hyper.rho.times(hyper.batchSize)).plus(1e-15)
    const refreshed = () => ({ m, h: emaOfSquare(state.h, inputs.sampledGradient, hyper.beta2) })
    const direction = m.sign().times(m.abs().over(scale).minimum(1))
    return { direction, state: every(hyper.hessianPeriod, refreshed, { m }) }
  },
})
