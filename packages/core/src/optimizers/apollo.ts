import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * Apollo: a quasi-Newton method whose Hessian is diagonal, so that it costs what Adam costs.
 *
 * ```text
 * α ← (1 - β) / (1 - βᵗ)
 * y ← g - m,   m ← m + α y
 * n ← ‖d‖₄ + ε,   s ← d / n                   d is the previous direction, per tensor
 * B ← B - (α ⟨y, s⟩ / n + ⟨B, s²⟩) s²         the secant equation, in the weak form of a diagonal
 * d ← m / max(|B|, σ)
 * θ ← θ - η d
 * ```
 *
 * Defaults of the official code: η 1 with a linear warm-up from 0.01 over 100 steps (a schedule here), β 0.9, σ
 * (`minimumCurvature`) 1, ε 1e-4, λ 0 coupled. Its first version has η 0.01 with σ 0.01 and ε 0.01, the same up to scale.
 * State: `m`, `hessian` (B) and `update` (d), shaped like the parameter. One more read of all of them for the products.
 *
 * In the official code decoupled decay is part of d and so of the secant; here it is not. Its decay of type `stable` and
 * the earlier `rebound: belief` are not here. Not the APOLLO of 2024 (low-rank AdamW).
 *
 * Ma 2020, Apollo: An Adaptive Parameter-wise Diagonal Quasi-Newton Method for Nonconvex Stochastic Optimization,
 * arXiv 2009.13586.
 */
export const apollo = defineOptimizer({
  name: 'apollo',
  title: 'Apollo',
  family: 'curvature',
  paper: {
    title: 'Apollo: An Adaptive Parameter-wise Diagonal Quasi-Newton Method for Nonconvex Stochastic Optimization',
    authors: 'Ma',
    year: 2020,
    arxiv: '2009.13586',
  },
  hyper: {
    learningRate: nonNegative(1),
    beta: decayRate(0.9),
    minimumCurvature: positive(1),
    epsilon: smallDivisor(1e-4),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), hessian: zeros(), update: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-2, 3), weightDecay: oneOf(0, 1e-4, 1e-3) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta, minimumCurvature, epsilon } = hyper
    const alpha = beta.negated().plus(1).over(biasCorrection(beta, t))
    const change = g.minus(state.m)
    const m = state.m.plus(change.times(alpha))
    const length = state.update.square().limited().norm().sqrt().plus(epsilon)
    const s = state.update.over(length)
    const square = s.square()
    const secant = change.times(s).sum().times(alpha).over(length).plus(state.hessian.times(square).sum())
    const hessian = state.hessian.minus(square.times(secant))
    const direction = m.over(hessian.abs().maximum(minimumCurvature))
    return { direction, state: { m, hessian, update: direction } }
  },
})
