import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { rectify } from '../parts/rectify.ts'

/**
 * AdaBelief: Adam that divides by how far gradients stray from their average, so that it steps far where they agree.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * s ← β2 s + (1 - β2) (g - m)² + ε
 * θ ← θ - η (m / (1 - β1ᵗ)) / (√s / √(1 - β2ᵗ) + ε)         rectify false
 *
 * with rectify (as in RAdam):
 * N∞ = (1 + β2) / (1 - β2),   N = N∞ - 2 t β2ᵗ / (1 - β2ᵗ)
 * N ≥ 5:  r = √((1 - β2ᵗ) (N - 4) / (N∞ - 4) (N - 2) / N  N∞ / (N∞ - 2)) / (1 - β1ᵗ)
 *         θ ← θ - η r m / (√s + ε)
 * N < 5:  θ ← θ - η m / (1 - β1ᵗ)                            degenerateToSGD true, else no move
 * ```
 *
 * Defaults of the official code 0.2: η 1e-3, β (0.9, 0.999), ε 1e-16, λ 0, decoupled decay, rectify true. The paper has
 * ε 1e-8 and no rectification. The official `fixed_decay` is `decay: 'independent'`, `weight_decouple=False` is
 * `decay: 'coupled'`. State: `m` and `s`, shaped like the parameter, and `sMaximum` with `amsgrad: true`.
 *
 * As in the official code ε is added to s itself at every step, so that s drifts by ε / (1 - β2); `amsgrad` divides by the
 * largest s, but has no effect on rectified steps.
 *
 * Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan 2020, AdaBelief Optimizer: Adapting Stepsizes by the Belief
 * in Observed Gradients, arXiv 2010.07468.
 */
export const adaBelief = defineOptimizer({
  name: 'adaBelief',
  title: 'AdaBelief',
  family: 'adaptive',
  paper: {
    title: 'AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients',
    authors: 'Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan',
    year: 2020,
    arxiv: '2010.07468',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-16),
    weightDecay: nonNegative(0),
  },
  options: { rectify: true, degenerateToSGD: true, amsgrad: false },
  state: { m: zeros(), s: zeros(), sMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const s = emaOfSquare(state.s, g.minus(m), beta2).plus(epsilon)
    const sMaximum = options.amsgrad ? state.sMaximum.maximum(s) : s
    const newState = options.amsgrad ? { m, s, sMaximum } : { m, s }
    const mHat = m.over(biasCorrection(beta1, t))
    if (!options.rectify) {
      const direction = mHat.over(sMaximum.sqrt().over(biasCorrection(beta2, t).sqrt()).plus(epsilon))
      return { direction, state: newState }
    }
    const early = options.degenerateToSGD ? mHat : 0
    return { direction: rectify(mHat, s.sqrt().plus(epsilon), beta2, t, early), state: newState }
  },
})
