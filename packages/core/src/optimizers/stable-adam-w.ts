import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * StableAdamW: AdamW that shortens the step of a tensor whose gradients are larger than its average of squares expects, as
 * Adafactor does, in place of gradient clipping.
 *
 * ```text
 * m ← β̂1 m + (1 - β̂1) g                     β̂ = β (1 - βᵗ⁻¹) / (1 - βᵗ): averages that need no correction
 * v ← β̂2 v + (1 - β̂2) g²
 * r ← √(mean of g² / max(v, ε²))             per tensor
 * η̂ ← η / max(1, r)
 * θ ← (1 - η̂ λ) θ - η̂ m / (√v + ε)
 * ```
 *
 * Defaults: η 1e-3, β (0.9, 0.99), ε 1e-8, λ 0.01 decoupled. State: `m` and `v`, shaped like the parameter. One more read
 * of m and v once r is known.
 *
 * The Kahan summation that implementations in low precision add is not part of the method.
 *
 * Wortsman, Dettmers, Zettlemoyer, Morcos, Farhadi, Schmidt 2023, Stable and low-precision training for large-scale
 * vision-language models, arXiv 2304.13013.
 */
export const stableAdamW = defineOptimizer({
  name: 'stableAdamW',
  title: 'StableAdamW',
  family: 'adaptive',
  paper: {
    title: 'Stable and low-precision training for large-scale vision-language models',
    authors: 'Wortsman, Dettmers, Zettlemoyer, Morcos, Farhadi, Schmidt',
    year: 2023,
    arxiv: '2304.13013',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.99),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0.01),
  },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { learningRate, beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, corrected(beta1, t))
    const v = emaOfSquare(state.v, g, corrected(beta2, t))
    const ratio = g
      .square()
      .over(v.maximum(epsilon.square().maximum(leastSquare)))
      .mean()
      .sqrt()
    return {
      direction: m.over(v.sqrt().plus(epsilon)),
      learningRate: learningRate.over(ratio.maximum(1)),
      state: { m, v },
    }
  },
})

/** Where ε² is less, as for ε = 0, it counts as this, which float32 holds. */
const leastSquare = 1e-36

/** The decay rate at step t of an average that is corrected as it goes: 0 at first, β in the long run. */
function corrected(beta: Value, t: Value): Value {
  return beta.times(biasCorrection(beta, t.minus(1))).over(biasCorrection(beta, t))
}
