import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { diagonalInputs, diagonalPreconditioner } from '../parts/diagonal-preconditioner.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * SANIA: a Polyak-type step for a quadratic model in a diagonal metric B, so that neither a step size nor the scale of the
 * data has to be tuned. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * B ← max(ε, Σ g²)                         'adaGrad'
 *     max(ε, v / (1 - β2ᵗ))                v ← β2 v + (1 - β2) g²; 'adam'
 *     max(ε, |h|)                          h ← β2 h + (1 - β2) hessianDiagonal, h1 the first one; 'hutchinson'
 * n ← Σ g² / B                             over all tensors
 * γ ← 1 - √(1 - 2 (f - f*) / n)            1 where the root is not of a positive number
 * θ ← θ - η γ g / B
 * ```
 *
 * B has no root, so that the step does not depend on the scale of any feature (AdaGrad-SQR, Adam-SQR); `squareRoot` takes
 * the usual one. Defaults of the official code: η 1 (a factor), ε 0.1, β2 0.999; f* 0 (`lossMinimum`). State: `v`, shaped
 * like the parameter.
 *
 * The input `hessianDiagonal` of `hutchinson` is z ⊙ Hz for a random sign vector z. A loss below f* counts as f*, where
 * the official code would step uphill. The paper's quasi-Newton and conjugate gradient forms are not elementwise and not
 * here.
 *
 * Abdukhakimov, Xiang, Kamzolov, Gower, Takáč 2023, SANIA: Polyak-type Optimization Framework Leads to Scale Invariant
 * Stochastic Algorithms, arXiv 2312.17369.
 */
export const sania = defineOptimizer({
  name: 'sania',
  title: 'SANIA',
  family: 'stepSize',
  paper: {
    title: 'SANIA: Polyak-type Optimization Framework Leads to Scale Invariant Stochastic Algorithms',
    authors: 'Abdukhakimov, Xiang, Kamzolov, Gower, Takáč',
    year: 2023,
    arxiv: '2312.17369',
  },
  hyper: {
    learningRate: nonNegative(1),
    lossMinimum: real(0),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(0.1),
  },
  options: { preconditioner: 'adaGrad' as 'adam' | 'adaGrad' | 'hutchinson', squareRoot: false },
  choices: { preconditioner: ['adam', 'adaGrad', 'hutchinson'] },
  inputs: ({ preconditioner }) => diagonalInputs(preconditioner),
  state: { v: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(0.01, 10), epsilon: logUniform(1e-8, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, inputs, options }) {
    const { v, metric } = diagonalPreconditioner(options.preconditioner, {
      ...{ g, t, v: state.v, beta2: hyper.beta2 },
      hessianDiagonal: inputs.hessianDiagonal,
    })
    const bounded = metric.maximum(hyper.epsilon)
    const direction = g.over(options.squareRoot ? bounded.sqrt() : bounded)
    const n = g.times(direction).sum('all')
    const gap = inputs.loss.minus(hyper.lossMinimum).maximum(0)
    const rest = where(n.isGreaterThan(0), n.minus(gap.times(2)).over(n), 0)
    const stepSize = where(rest.isGreaterThan(0), rest.sqrt().negated().plus(1), 1)
    return { direction, learningRate: stepSize.times(hyper.learningRate), state: { v } }
  },
})
