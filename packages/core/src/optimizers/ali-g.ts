import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, real, smallDivisor } from '../language/hyperparameters.ts'
import { lossInput } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { withoutRate } from '../parts/distance.ts'
import { lossGap, polyakStep } from '../parts/polyak.ts'

/**
 * ALI-G: SGD with Nesterov momentum whose step size is the Polyak step of a model that can interpolate its data, bounded by
 * the learning rate. It needs the loss: `step({ inputs: { loss } })` or `minimize`.
 *
 * ```text
 * γ ← min(η, (f - f*) / (‖g‖² + ε))        ‖·‖ over all tensors; at least 0
 * b ← μ b - γ g
 * θ ← θ - γ g + μ b
 * ```
 *
 * With `adjustedMomentum` the step size is outside the buffer: b ← μ b + g, θ ← θ - γ (g + μ b).
 *
 * Defaults: η 0.1 and μ 0.9 as in the paper's experiments; the official code has neither bound nor momentum unless told.
 * f* 0 (`lossMinimum`), ε 1e-5, no adjustment. State: `b`, shaped like the parameter; none when momentum is 0.
 *
 * The paper bounds the norm of the parameters by a projection, where others use weight decay; the projection is not here.
 *
 * Berrada, Zisserman, Kumar 2020, Training Neural Networks for and by Interpolation, arXiv 1906.05661.
 */
export const aliG = defineOptimizer({
  name: 'aliG',
  title: 'ALI-G',
  family: 'stepSize',
  paper: {
    title: 'Training Neural Networks for and by Interpolation',
    authors: 'Berrada, Zisserman, Kumar',
    year: 2020,
    arxiv: '1906.05661',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    momentum: decayRate(0.9),
    lossMinimum: real(0),
    epsilon: smallDivisor(1e-5),
  },
  options: { adjustedMomentum: false },
  inputs: { loss: lossInput },
  state: { b: zeros({ when: ({ disabled }) => !disabled('momentum') }) },
  decay: 'coupled',
  search: { learningRate: logUniform(0.01, 10), momentum: oneOf(0, 0.9) },
  rule({ g, state, hyper, inputs, options, disabled }) {
    const { learningRate, momentum } = hyper
    const squaredNorm = g.square().sum('all').plus(hyper.epsilon)
    const stepSize = polyakStep(lossGap(inputs.loss, hyper.lossMinimum), squaredNorm).minimum(learningRate)
    if (disabled('momentum')) return { direction: g, learningRate: stepSize }
    if (options.adjustedMomentum) {
      const b = state.b.times(momentum).plus(g)
      return { direction: g.plus(b.times(momentum)), learningRate: stepSize, state: { b } }
    }
    const b = state.b.times(momentum).minus(g.times(stepSize))
    const move = g.times(stepSize).minus(b.times(momentum))
    return { direction: withoutRate(move, learningRate), state: { b } }
  },
})
