import { defineOptimizer } from '../language/definition.ts'
import {
  decayRate,
  logUniform,
  nonNegative,
  oneOf,
  positive,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { inputArray } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'

/**
 * Sophia-H: momentum divided by a Hutchinson estimate of the Hessian's diagonal, clipped element by element.
 *
 * ```text
 * every k steps:  h ← β2 h + (1 - β2) u ⊙ H u                              before θ moves, first at step k
 * m ← β1 m + (1 - β1) g
 * θ ← (1 - η λ) θ - η clip(m / max(γ h, ε), -1, 1)
 * ```
 *
 * The input `hessianDiagonal`, wanted every k steps, is u ⊙ H u with u of N(0, 1) (or of -1 and 1). Defaults of the paper:
 * β (0.96, 0.99), γ 0.01, ε 1e-12, k 10, λ 0.1; the learning rate of 1e-4 is ours. State: m and h.
 *
 * pytorch_optimizer's SophiaH clips m / max(h, ε) to ±p and multiplies by η: this rule with γ = p, learning rate η p and
 * p ε. It starts to estimate at the step after every period and uses the estimate at the end of it.
 *
 * Liu, Li, Hall, Liang, Ma 2023, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training,
 * Algorithms 1 and 3, arXiv 2305.14342.
 */
export const sophiaH = defineOptimizer({
  name: 'sophiaH',
  title: 'Sophia-H',
  family: 'curvature',
  paper: {
    title: 'Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training',
    authors: 'Liu, Li, Hall, Liang, Ma',
    year: 2023,
    arxiv: '2305.14342',
  },
  hyper: {
    learningRate: nonNegative(1e-4),
    beta1: decayRate(0.96),
    beta2: decayRate(0.99),
    gamma: positive(0.01),
    epsilon: smallDivisor(1e-12),
    hessianPeriod: stepCount(10),
    weightDecay: nonNegative(0.1),
  },
  inputs: { hessianDiagonal: inputArray('u ⊙ H u, an estimate of the diagonal of the Hessian with u of N(0, 1)') },
  state: { m: zeros(), h: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-5, 1e-2), gamma: oneOf(0.005, 0.01, 0.02) },
  rule({ g, state, hyper, inputs, every }) {
    const estimate = () => ({ h: ema(state.h, inputs.hessianDiagonal, hyper.beta2) })
    const refreshed = every(hyper.hessianPeriod, estimate, {})
    const h = 'h' in refreshed ? refreshed.h : state.h
    const m = ema(state.m, g, hyper.beta1)
    const ratio = m.over(h.times(hyper.gamma).maximum(hyper.epsilon))
    return { direction: ratio.maximum(-1).minimum(1), state: { m, ...refreshed } }
  },
})
