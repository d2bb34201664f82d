import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * Padam: between SGD with momentum (p near 0) and AMSGrad (p = 1/2).
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * w ← max(w, v)                            v itself with amsgrad false
 * θ ← θ - η (m / (1 - β1ᵗ)) √(1 - β2ᵗ) / (√w + ε)²ᵖ
 * ```
 *
 * Defaults of the official code: η 0.1, β (0.9, 0.999), p (`partial`) 1/4, ε 1e-8, λ 0, coupled decay, amsgrad true. State:
 * `m` and `v`, shaped like the parameter, and `vMaximum` with amsgrad.
 *
 * The paper has neither ε nor bias correction; the official correction is Adam's whatever p.
 *
 * Chen, Zhou, Tang, Yang, Cao, Gu 2018, Closing the Generalization Gap of Adaptive Gradient Methods in Training Deep Neural
 * Networks, arXiv 1806.06763.
 */
export const padam = defineOptimizer({
  name: 'padam',
  title: 'Padam',
  family: 'adaptive',
  paper: {
    title: 'Closing the Generalization Gap of Adaptive Gradient Methods in Training Deep Neural Networks',
    authors: 'Chen, Zhou, Tang, Yang, Cao, Gu',
    year: 2018,
    arxiv: '1806.06763',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    partial: positive(0.25),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { amsgrad: true },
  state: { m: zeros(), v: zeros(), vMaximum: zeros({ when: ({ options }) => options.amsgrad === true }) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 1), partial: oneOf(0.0625, 0.125, 0.25) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon, partial } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
    const correction = biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t))
    const root = vMaximum.sqrt().plus(epsilon).power(partial.times(2))
    return { direction: m.over(root).times(correction), state: options.amsgrad ? { m, v, vMaximum } : { m, v } }
  },
})
