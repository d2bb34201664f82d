import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * AdaMod: Adam whose step sizes may not exceed their own long average.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * h ← η √(1 - β2ᵗ) / (1 - β1ᵗ) / (√v + ε)
 * s ← β3 s + (1 - β3) h
 * θ ← (1 - η λ) θ - min(h, s) m
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999, 0.999), ε 1e-8, λ 0 decoupled; the paper also has β3 0.9999. s starts
 * at 0, which warms up. State: `m`, `v` and `stepSize` (s), shaped like the parameter.
 *
 * ε is added before bias correction, as in the official code.
 *
 * Ding, Ren, Luo, Sun 2019, An Adaptive and Momental Bound Method for Stochastic Learning, arXiv 1910.12249.
 */
export const adaMod = defineOptimizer({
  name: 'adaMod',
  title: 'AdaMod',
  family: 'adaptive',
  paper: {
    title: 'An Adaptive and Momental Bound Method for Stochastic Learning',
    authors: 'Ding, Ren, Luo, Sun',
    year: 2019,
    arxiv: '1910.12249',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    beta3: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), stepSize: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta3: oneOf(0.99, 0.999, 0.9999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { learningRate, beta1, beta2, beta3, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const relative = correction.over(v.sqrt().plus(epsilon))
    const stepSize = ema(state.stepSize, relative.times(learningRate), beta3)
    const inverse = where(learningRate.isGreaterThan(0), learningRate.power(-1), 0)
    return { direction: relative.minimum(stepSize.times(inverse)).times(m), state: { m, v, stepSize } }
  },
})
