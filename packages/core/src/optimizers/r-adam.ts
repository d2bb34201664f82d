import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { rectify } from '../parts/rectify.ts'

/**
 * RAdam: {@link adam} whose adaptive step is switched on and scaled by how many gradients its average of squares stands for,
 * in place of a warm-up.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * N∞ = (1 + β2) / (1 - β2),   N = N∞ - 2 t β2ᵗ / (1 - β2ᵗ)
 * N ≥ 5:  r = √((1 - β2ᵗ) (N - 4) / (N∞ - 4) (N - 2) / N  N∞ / (N∞ - 2))
 *         θ ← θ - η r m / (1 - β1ᵗ) / (√v + ε)
 * N < 5:  θ ← θ - η m / (1 - β1ᵗ)          degenerateToSGD true, else no move
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0, degenerateToSGD true. Weight decay is coupled as in PyTorch;
 * the official one is `decay: 'decoupled'`. State: `m` and `v`, shaped like the parameter.
 *
 * The paper rectifies from N > 4; the official code and PyTorch from 5, followed here. ε is added before the correction of v, as in
 * both.
 *
 * Liu, Jiang, He, Chen, Liu, Gao, Han 2019, On the Variance of the Adaptive Learning Rate and Beyond, arXiv 1908.03265.
 */
export const rAdam = defineOptimizer({
  name: 'rAdam',
  title: 'RAdam',
  family: 'adaptive',
  paper: {
    title: 'On the Variance of the Adaptive Learning Rate and Beyond',
    authors: 'Liu, Jiang, He, Chen, Liu, Gao, Han',
    year: 2019,
    arxiv: '1908.03265',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { degenerateToSGD: true },
  state: { m: zeros(), v: zeros() },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 3e-2), beta2: oneOf(0.99, 0.999) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const mHat = m.over(biasCorrection(beta1, t))
    const early = options.degenerateToSGD ? mHat : 0
    return { direction: rectify(mHat, v.sqrt().plus(epsilon), beta2, t, early), state: { m, v } }
  },
})
