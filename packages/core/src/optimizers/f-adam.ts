import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, positive, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * FAdam: Adam read as natural gradient descent: the momentum is over natural gradients, and weight decay is natural too.
 *
 * ```text
 * b ← β2 (1 - β2ᵗ⁻¹) / (1 - β2ᵗ)
 * f ← b f + (1 - b) g²
 * D ← fᵖ + ε min(RMS(g), 1)
 * u ← clip(g / D),  w ← clip(θ / D)         clip(x) = x clipping / max(1, RMS(x)), RMS over the tensor
 * m ← β1 m + (1 - β1) u
 * θ ← θ - η (m + λ w)
 * ```
 *
 * Defaults of the authors' public code: η 1e-3, β (0.9, 0.999), p (`exponent`) 1/2, ε 1e-8, clipping 1, λ 0.1. State: `m` and
 * `f`, shaped like the parameter. Three sums over the tensor.
 *
 * Where D is 0 (no gradient yet) u and w are 0; there the public code divides by 0. Decay is the rule's own.
 *
 * Hwang 2024, FAdam: Adam is a natural gradient optimizer using diagonal empirical Fisher information, arXiv 2405.12807.
 */
export const fAdam = defineOptimizer({
  name: 'fAdam',
  title: 'FAdam',
  family: 'adaptive',
  paper: {
    title: 'FAdam: Adam is a natural gradient optimizer using diagonal empirical Fisher information',
    authors: 'Hwang',
    year: 2024,
    arxiv: '2405.12807',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    exponent: positive(0.5),
    epsilon: smallDivisor(1e-8),
    clipping: positive(1),
    weightDecay: nonNegative(0.1),
  },
  state: { m: zeros(), f: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ p, g, t, state, hyper, ownWeightDecay }) {
    const { beta1, beta2, exponent, epsilon, clipping } = hyper
    const rootMeanSquare = (x: Value) => x.square().mean().sqrt()
    const b = beta2.times(biasCorrection(beta2, t.minus(1))).over(biasCorrection(beta2, t))
    const f = emaOfSquare(state.f, g, b)
    const divisor = f.power(exponent).plus(rootMeanSquare(g).minimum(1).times(epsilon))
    const natural = (x: Value) => where(divisor.isGreaterThan(0), x.over(divisor).limitedInSize(), 0)
    const clipped = (x: Value) => x.times(clipping.over(rootMeanSquare(x).maximum(1)))
    const m = ema(state.m, clipped(natural(g)), beta1)
    return { direction: m.plus(clipped(natural(p)).times(ownWeightDecay)), state: { m, f } }
  },
})
