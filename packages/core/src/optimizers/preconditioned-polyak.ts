import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, real, smallDivisor } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { diagonalInputs, diagonalPreconditioner } from '../parts/diagonal-preconditioner.ts'
import { largestSquared } from '../parts/ema-of-square.ts'

/**
 * PSPS, the preconditioned stochastic Polyak step size: the Polyak step measured and taken in a diagonal metric D, for
 * badly scaled data. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * D ← √(v / (1 - β2ᵗ)) + ε                 v ← β2 v + (1 - β2) g²; 'adam'
 *     √(Σ g²) + ε                          'adaGrad'
 *     max(|h|, ε)                          h ← β2 h + (1 - β2) hessianDiagonal, h1 the first one; 'hutchinson'
 * n ← Σ g² / D                             over all tensors
 * γ ← (f - f*) / n                         at least 0
 * θ ← θ - η γ g / D
 * ```
 *
 * With a slack s, which lets the smallest loss be above f*:
 *
 * ```text
 * L1: γ' ← max(0, f - f* - s + λ) / (1 + n),  γ ← min(γ', (f - f*) / n),  s ← max(0, s - λ + γ')
 * L2: γ ← max(0, f - f* - s / (1 + λ)) / (n + 1 / (1 + λ)),  s ← (s + γ) / (1 + λ)
 * ```
 *
 * Defaults: η 1 (a factor), f* 0 (`lossMinimum`), β2 0.999, ε 1e-4, no slack, λ 0.01 (`slackPenalty`). The official code
 * takes `hutchinson`, whose input `hessianDiagonal` is z ⊙ Hz for a random sign vector z (the first one better a mean of
 * a hundred); here `adam` is the default, which needs no more than the gradient. State: `v`, shaped like the parameter;
 * the number `slack`, shared by all tensors, with slack.
 *
 * As in the official code nothing moves where n is at most 1e-13.
 *
 * Abdukhakimov, Xiang, Kamzolov, Takáč 2024, Stochastic Gradient Descent with Preconditioned Polyak Step-size,
 * arXiv 2310.02093.
 */
export const preconditionedPolyak = defineOptimizer({
  name: 'preconditionedPolyak',
  title: 'Preconditioned Polyak',
  family: 'stepSize',
  paper: {
    title: 'Stochastic Gradient Descent with Preconditioned Polyak Step-size',
    authors: 'Abdukhakimov, Xiang, Kamzolov, Takáč',
    year: 2024,
    arxiv: '2310.02093',
  },
  hyper: {
    learningRate: nonNegative(1),
    lossMinimum: real(0),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-4),
    slackPenalty: nonNegative(0.01),
  },
  options: { preconditioner: 'adam' as 'adam' | 'adaGrad' | 'hutchinson', slack: 'none' as 'none' | 'L1' | 'L2' },
  choices: { preconditioner: ['adam', 'adaGrad', 'hutchinson'], slack: ['none', 'L1', 'L2'] },
  inputs: ({ preconditioner }) => diagonalInputs(preconditioner),
  state: { v: zeros(), slack: sharedScalar(0, { when: ({ options }) => options.slack !== 'none' }) },
  decay: 'coupled',
  search: { learningRate: logUniform(0.01, 10) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, inputs, options }) {
    const { v, metric } = diagonalPreconditioner(options.preconditioner, {
      ...{ g, t, v: state.v, beta2: hyper.beta2 },
      hessianDiagonal: inputs.hessianDiagonal,
    })
    const scale =
      options.preconditioner === 'hutchinson' ? metric.maximum(hyper.epsilon) : metric.sqrt().plus(hyper.epsilon)
    const direction = g.over(scale)
    const n = g.times(direction).sum('all')
    const gap = inputs.loss.minus(hyper.lossMinimum).maximum(0)
    const some = n.isGreaterThan(1e-13)
    const plain = where(some, gap.over(n), 0)
    if (options.slack === 'none') return { direction, learningRate: plain.times(hyper.learningRate), state: { v } }
    const { slack } = state
    if (options.slack === 'L1') {
      const slackened = gap.minus(slack).plus(hyper.slackPenalty).maximum(0).over(n.plus(1))
      const next = slack.minus(hyper.slackPenalty).plus(slackened).maximum(0)
      const stepSize = slackened.minimum(plain).times(hyper.learningRate)
      return { direction, learningRate: stepSize, state: { v, slack: where(some, next, slack) } }
    }
    const share = hyper.slackPenalty.plus(1).power(-1)
    const slackened = where(some, gap.minus(slack.times(share)).maximum(0).over(n.plus(share)), 0)
    const next = slack.plus(slackened).times(share)
    const stepSize = slackened.times(hyper.learningRate)
    return { direction, learningRate: stepSize, state: { v, slack: where(some, next, slack) } }
  },
})
