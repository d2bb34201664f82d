import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'

/**
 * Averaged SGD: gradient descent with a slowly falling step size, whose iterates are averaged from some step on. Train
 * with θ, evaluate with `evaluationParameters()`, the average.
 *
 * ```text
 * ηₜ ← η / (1 + λ η (t - 1))^power
 * θ  ← θ - ηₜ (g + λ θ)
 * a  ← a + (θ - a) / max(1, t - 1 - averagingStart)
 * ```
 *
 * Defaults of `torch.optim.ASGD`: η 0.01, λ (`regularization`, torch's `lambd`) 1e-4, power (`alpha`) 0.75, averagingStart
 * (`t0`) 1e6, coupled weight decay 0 besides. Until the average starts it is the parameter itself, so a run shorter than
 * `averagingStart` is plain gradient descent. State: `a`, shaped like the parameter.
 *
 * As in torch the step size and the average lag one step behind their formulas: the first step is η itself, the average is
 * restarted at step `averagingStart + 2`.
 *
 * Polyak, Juditsky 1992, Acceleration of Stochastic Approximation by Averaging. The step size is Bottou's (2012, Stochastic
 * Gradient Descent Tricks).
 */
export const averagedSGD = defineOptimizer({
  name: 'averagedSGD',
  title: 'Averaged SGD',
  family: 'averaging',
  paper: {
    title: 'Acceleration of Stochastic Approximation by Averaging',
    authors: 'Polyak, Juditsky',
    year: 1992,
    url: 'https://doi.org/10.1137/0330046',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    regularization: nonNegative(1e-4),
    power: nonNegative(0.75),
    averagingStart: nonNegative(1e6),
    weightDecay: nonNegative(0),
  },
  state: { a: copyOfParameter() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), averagingStart: oneOf(0, 100, 1000) },
  rule({ p, g, t, state, hyper }) {
    const { learningRate, regularization, power, averagingStart } = hyper
    const before = t.minus(1)
    const slowed = regularization.times(learningRate).times(before).plus(1).power(power)
    const share = before.minus(averagingStart).maximum(1).power(-1)
    return {
      direction: g.plus(p.times(regularization)),
      apply: (direction, project) => {
        const parameter = project(p.minus(direction.times(learningRate.over(slowed))))
        return { parameter, state: { a: state.a.plus(parameter.minus(state.a).times(share)) } }
      },
    }
  },
  average: ({ state }) => state.a,
})
