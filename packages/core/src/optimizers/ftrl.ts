import { defineOptimizer } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

/**
 * FTRL-Proximal: follows the regularized leader; the parameter is a function of all gradients so far, and exactly 0 where they
 * do not pay for the penalty. For sparse linear models.
 *
 * ```text
 * n₊ ← n + g²
 * z  ← z + g - (√n₊ - √n) / η θ
 * θ  ← 0                                                where |z| ≤ λ1
 *      -(z - sign(z) λ1) / ((β + √n₊) / η + λ2)         elsewhere
 * ```
 *
 * Defaults: η 1e-3, β 0, λ1 and λ2 (`lasso`, `ridge`) 0 as in TensorFlow; the paper recommends β 1. State: `z` and `n`, shaped like
 * the parameter. It has no weight decay: λ2 is that. Since the parameter is rebuilt at each step, the rule applies the
 * learning rate itself.
 *
 * The paper starts at θ = 0. An element that never had a gradient keeps its value here, where the formula divides by 0 (β and λ2 are
 * 0) or forgets it; n up to 1e-37 counts as none, since that is where squares vanish in float32. A learning rate of 0 stands still.
 *
 * McMahan, Holt, Sculley, Young, Ebner, Grady, Nie, Phillips, Davydov, Golovin, Chikkerur, Liu, Wattenberg, Hrafnkelsson, Boulos,
 * Kubica 2013, Ad Click Prediction: a View from the Trenches.
 */
export const ftrl = defineOptimizer({
  name: 'ftrl',
  title: 'FTRL-Proximal',
  family: 'adaptive',
  paper: {
    title: 'Ad Click Prediction: a View from the Trenches',
    authors: 'McMahan, Holt, Sculley, Young, Ebner, Grady, Nie, Phillips, Davydov, Golovin and others',
    year: 2013,
    url: 'https://doi.org/10.1145/2487575.2488200',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta: nonNegative(0),
    lasso: nonNegative(0),
    ridge: nonNegative(0),
  },
  state: { z: zeros(), n: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(1e-3, 1), beta: oneOf(0, 1) },
  schedule: 'constant',
  largestGradient: largestSquared,
  rule({ p, g, state, hyper }) {
    const { learningRate, beta, lasso, ridge } = hyper
    const total = sumOfSquares(state.n, g)
    const n = where(total.isGreaterThan(1e-37), total, 0)
    const moves = learningRate.isGreaterThan(0)
    const growth = n
      .sqrt()
      .minus(state.n.sqrt())
      .times(where(moves, learningRate.power(-1), 0))
    return {
      direction: g,
      state: { n },
      apply: (direction, project) => {
        const z = state.z.plus(direction).minus(growth.times(p))
        const scale = n.sqrt().plus(beta).plus(ridge.times(learningRate))
        const beyond = z.abs().minus(lasso).maximum(0)
        const solution = z.sign().times(beyond).times(learningRate.negated()).over(scale)
        return { parameter: project(where(n.isGreaterThan(0).and(moves), solution, p)), state: { z } }
      },
    }
  },
})
