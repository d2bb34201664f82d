import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf, positive, real, smallDivisor } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { sharedScalar } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { lossGap, polyakStep } from '../parts/polyak.ts'

/**
 * SPSmax, the bounded stochastic Polyak step size: SGD whose step size follows from the batch's own loss and gradient.
 * It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * γ ← min(η, (f - f*) / (c ‖g‖² + ε))      ‖·‖ over all tensors; at least 0
 * θ ← θ - γ g
 * ```
 *
 * With `growth` above 1 the bound is not η but `growth` times the step size before (η at first), so that it may grow
 * slowly: the official `smooth_iter` with growth 2^(batch size / number of examples).
 *
 * Defaults: η 1, f* 0 (`lossMinimum`), c 0.5, ε 1e-8, no growth bound (written 0). The official code has no bound by
 * default and starts its smooth form at 1. State: none, or the number `stepSize` with a growth bound.
 *
 * A step size of 0, from a zero gradient or a loss at f*, is not remembered: the official smooth form never leaves it.
 *
 * Loizou, Vaswani, Laradji, Lacoste-Julien 2021, Stochastic Polyak Step-size for SGD: An Adaptive Learning Rate for Fast
 * Convergence, arXiv 2002.10542.
 */
export const stochasticPolyak = defineOptimizer({
  name: 'stochasticPolyak',
  title: 'Stochastic Polyak',
  family: 'stepSize',
  paper: {
    title: 'Stochastic Polyak Step-size for SGD: An Adaptive Learning Rate for Fast Convergence',
    authors: 'Loizou, Vaswani, Laradji, Lacoste-Julien',
    year: 2021,
    arxiv: '2002.10542',
  },
  hyper: {
    learningRate: nonNegative(1),
    lossMinimum: real(0),
    c: positive(0.5),
    epsilon: smallDivisor(1e-8),
    growth: nonNegative(0),
  },
  inputs: { loss: lossInput },
  state: { stepSize: sharedScalar(0, { when: ({ disabled }) => !disabled('growth') }) },
  decay: 'coupled',
  search: { learningRate: logUniform(0.01, 100), c: oneOf(0.2, 0.5, 1) },
  rule({ g, state, hyper, inputs, disabled }) {
    const squaredNorm = g.square().sum('all').times(hyper.c).plus(hyper.epsilon)
    const polyak = polyakStep(lossGap(inputs.loss, hyper.lossMinimum), squaredNorm)
    if (disabled('growth')) return { direction: g, learningRate: polyak.minimum(hyper.learningRate) }
    const before = where(state.stepSize.isGreaterThan(0), state.stepSize, hyper.learningRate)
    const stepSize = polyak.minimum(before.times(hyper.growth))
    const kept = where(stepSize.isGreaterThan(0), stepSize, state.stepSize)
    return { direction: g, learningRate: stepSize, state: { stepSize: kept } }
  },
})
