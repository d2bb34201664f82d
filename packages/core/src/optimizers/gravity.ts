import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, seed } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'

/**
 * Gravity: momentum over gradients of which the largest in each tensor count least.
 *
 * ```text
 * v ← (α / η) z,  z ~ N(0, 1)              before the first step
 * ζ ← g / (1 + (g max|g|)²)                max over the tensor
 * b ← (β t + 1) / (t + 2)
 * v ← b v + (1 - b) ζ
 * θ ← θ - η v
 * ```
 *
 * Defaults of the official code: η 0.1, β 0.9; its α is 0.01. State: `v`, shaped like the parameter.
 *
 * α is 0 here, which starts v at 0: under a schedule η is that of the first step, and the small one of a warm-up makes v so
 * large that later steps throw the parameters far away. `seed` chooses the random numbers; where η is 0, v starts at 0.
 *
 * Bahrami, Zadeh 2021, Gravity Optimizer: a Kinematic Approach on Optimization in Deep Learning, arXiv 2101.09192.
 */
export const gravity = defineOptimizer({
  name: 'gravity',
  title: 'Gravity',
  family: 'momentum',
  paper: {
    title: 'Gravity Optimizer: a Kinematic Approach on Optimization in Deep Learning',
    authors: 'Bahrami, Zadeh',
    year: 2021,
    arxiv: '2101.09192',
  },
  hyper: { learningRate: nonNegative(0.1), beta: decayRate(0.9), alpha: nonNegative(0), seed: seed() },
  state: { v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 10), beta: oneOf(0.9, 0.99) },
  rule({ g, t, state, hyper, random, disabled, firstSteps }) {
    const { learningRate, beta, alpha } = hyper
    const deviation = where(learningRate.isGreaterThan(0), alpha.over(learningRate), 0)
    const start = () => random.normal({ seed: hyper.seed }).times(deviation)
    const before = disabled('alpha') ? state.v : firstSteps(1, start, state.v)
    const weight = g.times(g.abs().largest()).square().plus(1)
    const v = ema(before, g.over(weight), beta.times(t).plus(1).over(t.plus(2)))
    return { direction: v, state: { v } }
  },
})
