import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { sharedScalar, zeros } from '../language/slots.ts'
import { biasCorrection, ema, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * AvaGrad: Adam with the squares of one step ago, and with step sizes scaled to a mean square of 1, so that the learning
 * rate and the adaptivity ε can be tuned one after the other.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * h ← 1 / (√v / √(1 - β2ᵗ⁻¹) + ε)            v as it was before this step
 * θ ← θ - η γ h m / (1 - β1ᵗ)                from the second step on; γ as the step before left it
 * γ ← 1 / √(mean of 1 / (√v / √(1 - β2ᵗ) + ε)²)          over all tensors
 * v ← β2 v + (1 - β2) g²
 * ```
 *
 * Defaults of the official code: η 0.1, β (0.9, 0.999), ε 0.1, λ 0 coupled. The official AvaGradW is `decay: 'decoupled'`;
 * as there it does not decay at the first step either. State: `m` and `v`, shaped like the parameter, and `gamma`, shared
 * by all tensors. One more read of v.
 *
 * As in the official code γ takes the new correction with the old v, and is used one step later. pytorch_optimizer decays
 * at the first step too.
 *
 * Savarese, McAllester, Babu, Maire 2019, Domain-independent Dominance of Adaptive Methods, arXiv 1912.01823.
 */
export const avaGrad = defineOptimizer({
  name: 'avaGrad',
  title: 'AvaGrad',
  family: 'adaptive',
  paper: {
    title: 'Domain-independent Dominance of Adaptive Methods',
    authors: 'Savarese, McAllester, Babu, Maire',
    year: 2019,
    arxiv: '1912.01823',
  },
  hyper: {
    learningRate: nonNegative(0.1),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(0.1),
    weightDecay: nonNegative(0),
  },
  state: { m: zeros(), v: zeros(), gamma: sharedScalar(0) },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-3, 10), epsilon: oneOf(1e-4, 1e-2, 0.1, 1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper }) {
    const { learningRate, beta1, beta2, epsilon } = hyper
    const starts = t.equals(1)
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    const root = state.v.sqrt()
    const before = where(starts, 1, biasCorrection(beta2, t.minus(1)).sqrt())
    const step = m.over(root.over(before).plus(epsilon))
    const inverse = g.lifted(1).over(root.over(biasCorrection(beta2, t).sqrt()).plus(epsilon))
    const gamma = inverse.square().mean('all').reciprocalSqrt()
    return {
      direction: step.times(state.gamma.over(biasCorrection(beta1, t))),
      learningRate: where(starts, 0, learningRate),
      state: { m, v, gamma },
    }
  },
})
