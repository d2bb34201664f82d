import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, real } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { copyOfParameter, zeros } from '../language/slots.ts'
import { withoutRate } from '../parts/distance.ts'
import { lossGap, polyakStep } from '../parts/polyak.ts'

/**
 * The Polyak step size generalized to momentum: what the step size must be so that the step with momentum, not the gradient
 * alone, comes as close to a minimum as the loss allows to say. It needs the loss: `step({ inputs: { loss } })` or
 * `minimize`.
 *
 * ```text
 * ALR-SMAG, form 'movingAverage':
 *   d ← μ d + g
 *   γ ← min(η, (f - f*) / (c ‖d‖²))        ‖·‖ over all tensors; at least 0
 *   θ ← (1 - γ λ) θ - γ d
 * ALR-SHB, form 'heavyBall':
 *   δ ← θ - θ₋                             θ₋ is the parameter before the last step
 *   γ ← min(η, (f - f*) / (c ‖g‖²) + μ ⟨g, δ⟩ / ‖g‖²)         at least 0
 *   θ ← θ - γ g + μ δ
 * ```
 *
 * Defaults: η 0.1, μ 0.9, c 1, f* 0 (`lossMinimum`), λ 0 decoupled. State: `d`, or `previous` (θ₋), shaped like the
 * parameter.
 *
 * There is no official code; a loss below f* stands still here.
 *
 * Wang, Johansson, Zhang 2023, Generalized Polyak Step Size for First Order Optimization with Momentum, arXiv 2305.12939.
 */
export const momentumPolyak = defineOptimizer({
  name: 'momentumPolyak',
  title: 'Momentum Polyak',
  family: 'stepSize',
  paper: {
    title: 'Generalized Polyak Step Size for First Order Optimization with Momentum',
    authors: 'Wang, Johansson, Zhang',
    year: 2023,
    arxiv: '2305.12939',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: decayRate(0.9),
    lossMinimum: real(0),
    c: positive(1),
    weightDecay: nonNegative(0),
  },
  options: { form: 'movingAverage' as 'movingAverage' | 'heavyBall' },
  choices: { form: ['movingAverage', 'heavyBall'] },
  inputs: { loss: lossInput },
  state: {
    d: zeros({ when: ({ options }) => options.form === 'movingAverage' }),
    previous: copyOfParameter({ when: ({ options }) => options.form === 'heavyBall' }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(0.01, 10), momentum: oneOf(0, 0.9) },
  rule({ p, g, state, hyper, inputs, options }) {
    const { learningRate, momentum } = hyper
    const gap = lossGap(inputs.loss, hyper.lossMinimum)
    if (options.form === 'movingAverage') {
      const d = state.d.times(momentum).plus(g)
      const stepSize = polyakStep(gap, d.square().sum('all').times(hyper.c))
      return { direction: d, learningRate: stepSize.minimum(learningRate), state: { d } }
    }
    const moved = p.minus(state.previous).times(momentum)
    const ahead = gap.over(hyper.c).plus(g.times(moved).sum('all'))
    const stepSize = polyakStep(ahead.maximum(0), g.square().sum('all')).minimum(learningRate)
    return { direction: withoutRate(g.times(stepSize).minus(moved), learningRate), state: { previous: p } }
  },
})
