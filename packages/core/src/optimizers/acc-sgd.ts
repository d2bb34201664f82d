import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { copyOfParameter } from '../language/slots.ts'

/**
 * AccSGD: short and long gradient steps, coupled so that stochastic gradients are accelerated too.
 *
 * ```text
 * β ← c² ξ / κ                             the share of the long step
 * w ← (1 - β) w + β (θ - η κ / c  g)       the long step, from the average w
 * θ ← (c (θ - η g) + β w) / (c + β)
 * ```
 *
 * Defaults of the official code: long-step ratio κ 1000, statistical advantage ξ 10, c 0.7, coupled weight decay 0; it
 * asks for η, 0.01 here. ξ is at most √κ in the paper, and c² ξ must not be above κ. State: `w`, shaped like the parameter.
 * Since the rule moves two sequences, it applies the learning rate itself.
 *
 * With constant settings it is one of the parametrizations of {@link qhm}.
 *
 * Kidambi, Netrapalli, Jain, Kakade 2018, On the insufficiency of existing momentum schemes for Stochastic Optimization,
 * arXiv 1803.05591.
 */
export const accSGD = defineOptimizer({
  name: 'accSGD',
  title: 'AccSGD',
  family: 'momentum',
  paper: {
    title: 'On the insufficiency of existing momentum schemes for Stochastic Optimization',
    authors: 'Kidambi, Netrapalli, Jain, Kakade',
    year: 2018,
    arxiv: '1803.05591',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    longStepRatio: positive(1000),
    statisticalAdvantage: nonNegative(10),
    smallConstant: { ...fraction(0.7), aboveMinimum: true },
    weightDecay: nonNegative(0),
  },
  state: { w: copyOfParameter() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), statisticalAdvantage: oneOf(2, 10, 30) },
  rule({ p, g, state, hyper }) {
    const { learningRate, longStepRatio, statisticalAdvantage, smallConstant: c } = hyper
    const beta = c.square().times(statisticalAdvantage).over(longStepRatio)
    return {
      direction: g,
      apply: (direction, project) => {
        // β κ / c is c ξ.
        const longStep = direction.times(learningRate.times(c).times(statisticalAdvantage))
        const w = project(state.w.times(beta.negated().plus(1)).plus(p.times(beta)).minus(longStep))
        const short = project(p.minus(direction.times(learningRate)))
        const parameter = short.times(c).plus(w.times(beta)).over(c.plus(beta))
        return { parameter, state: { w } }
      },
    }
  },
})
