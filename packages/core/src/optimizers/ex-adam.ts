import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'

/**
 * EXAdam: Adam whose bias corrections look at the other moment too, and whose step adds the current gradient to the
 * momentum.
 *
 * ```text
 * m ← β1 m + (1 - β1) g
 * v ← β2 v + (1 - β2) g²
 * a ← 1 + β2ᵗ v / (v + ε),   b ← 1 + β1ᵗ m² / (m² + ε)
 * ρ ← ln(√2 √(t + 1)) with growingStep, else 1
 * θ ← (1 - η λ) θ - η ρ a (m + g) / (1 - β1ᵗ) / (√(b v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Defaults of the official code: η 1e-3, β (0.9, 0.999), ε 1e-8, λ 0, decoupled decay, `growingStep` false. State: `m` and
 * `v`, shaped like the parameter.
 *
 * The paper's third change is a step size that grows with the step, by ρ, which is 0.69 at the first step, 1 at the third and 2.7
 * at the hundredth. The first commit of the official code (9ff84639, February 2025) has it: `growingStep: true`; later ones
 * dropped it and leave the rate constant, which is the default. Weight decay does not grow. The gradient is divided by 1 - β1ᵗ as
 * well, so that the first steps are long.
 *
 * Adly 2024, EXAdam: The Power of Adaptive Cross-Moments, arXiv 2412.20302.
 */
export const exAdam = defineOptimizer({
  name: 'exAdam',
  title: 'EXAdam',
  family: 'adaptive',
  paper: {
    title: 'EXAdam: The Power of Adaptive Cross-Moments',
    authors: 'Adly',
    year: 2024,
    arxiv: '2412.20302',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
  },
  options: { growingStep: false },
  state: { m: zeros(), v: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(3e-5, 1e-2), weightDecay: oneOf(0, 0.01, 0.1) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options }) {
    const { beta1, beta2, epsilon } = hyper
    const m = ema(state.m, g, beta1)
    const v = emaOfSquare(state.v, g, beta2)
    // x / (x + ε) as 1 - ε / (x + ε), which is 1 where the square is infinite in float32.
    const share = (x: Value) => epsilon.over(x.plus(epsilon)).negated().plus(1)
    const a = share(v).times(beta2.power(t)).plus(1)
    const b = share(m.square()).times(beta1.power(t)).plus(1)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt()).times(b.sqrt()).plus(epsilon)
    const ahead = m.over(root).plus(g.over(root))
    const growth = options.growingStep ? t.plus(1).times(2).sqrt().log() : t.lifted(1)
    return { direction: ahead.times(a).times(growth.over(biasCorrection(beta1, t))), state: { m, v } }
  },
})
