import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * NAdamW: {@link adamW} with Nesterov momentum: the average is looked up one gradient ahead.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * u ← β1 m + (1 - β1) g
 * θ ← (1 - η λ) θ - η (u / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of the AlgoPerf baseline, which timm has too: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0.01. State: `m` and `v`, shaped like
 * the parameter. Unlike {@link nAdam} the momentum has no schedule, and u is corrected as m is.
 *
 * Choi, Shallue, Nado, Lee, Maddison, Dahl 2019, On Empirical Comparisons of Optimizers for Deep Learning, table 1,
 * arXiv 1910.05446.
 */
export const nAdamW = defineOptimizer({
  name: 'nAdamW',
  title: 'NAdamW',
  family: 'adaptive',
  paper: {
    title: 'On Empirical Comparisons of Optimizers for Deep Learning',
    authors: 'Choi, Shallue, Nado, Lee, Maddison, Dahl',
    year: 2019,
    arxiv: '1910.05446',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
  },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const ahead = ema(m, g, beta1).over(biasCorrection(beta1, t))
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt())
    return { direction: ahead.over(root.plus(epsilon)), state: { m, v } }
  },
})
