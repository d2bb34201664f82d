import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, where } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { scheduleFreeAverage, scheduleFreeState, scheduleFreeStep } from '../parts/schedule-free.ts'

/**
 * Schedule-Free RAdam: Schedule-Free AdamW whose warm-up is RAdam's rectification, so that neither a warm-up nor a
 * schedule has to be chosen. Train with θ (the paper's y), evaluate with `evaluationParameters()` (the paper's x).
 *
 * ```text
 * v  ← β2 v + (1 - β2) g²
 * ρ∞ = 2 / (1 - β2) - 1,   ρ = ρ∞ - 2 t β2ᵗ / (1 - β2ᵗ)
 * where ρ > 4:
 *   ηₜ ← η √((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ))
 *   u  ← g / (√(v / (1 - β2ᵗ)) + ε) + λ y  decay at y
 * before:
 *   ηₜ ← 0, or η when silentStart is off
 *   u  ← g + λ y
 * w  ← t^weightStepPower ηmax^weightLearningRatePower,   ηmax the largest ηₜ so far
 * c  ← w / (sum of all w)
 * y  ← (1 - c) y + c z + ηₜ (β1 (1 - c) - 1) u
 * z  ← z - ηₜ u
 * x  = y + (1 - 1 / β1) (z - y)
 * ```
 *
 * Defaults of the official code: η 0.0025, β (0.9, 0.999), ε 1e-8, λ 0, step power (`r`) 0, learning-rate power 2;
 * `silentStart` (`silent_sgd_phase`) true, so that nothing moves until ρ > 4, for 4 steps with β2 0.999. Where ρ∞ is at most 4,
 * β2 at most 0.6, it never comes to that. State: `z` and `v`, shaped like the parameter; the numbers `weightSum` and
 * `largestLearningRate` per tensor.
 *
 * Since the rule moves several sequences it applies learning rate and decay itself. The official code counts steps once for
 * all parameters; here a parameter's own updates count.
 *
 * Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, The Road Less Scheduled, arXiv 2405.15682. Liu, Jiang, He, Chen,
 * Liu, Gao, Han 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv 1908.03265.
 */
export const scheduleFreeRAdam = defineOptimizer({
  name: 'scheduleFreeRAdam',
  title: 'Schedule-Free RAdam',
  family: 'averaging',
  paper: {
    title: 'The Road Less Scheduled',
    authors: 'Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky',
    year: 2024,
    arxiv: '2405.15682',
  },
  hyper: {
    learningRate: nonNegative(0.0025),
    beta1: { ...decayRate(0.9), aboveMinimum: true },
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    weightStepPower: real(0),
    weightLearningRatePower: real(2),
  },
  options: { silentStart: true },
  state: { ...scheduleFreeState, v: zeros() },
  decay: 'own',
  search: { learningRate: logUniform(3e-4, 3e-2), beta1: oneOf(0.9, 0.95, 0.98), weightDecay: oneOf(0, 0.01, 0.1) },
  schedule: 'constant',
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, options } = context
    const { beta1, beta2, epsilon } = hyper
    const v = emaOfSquare(state.v, g, beta2)
    const correction = biasCorrection(beta2, t)
    const limit = beta2.plus(1).over(beta2.negated().plus(1))
    const length = limit.minus(t.times(2).times(beta2.power(t)).over(correction))
    const variance = length.minus(4).over(limit.minus(4)).times(length.minus(2)).over(limit.minus(2))
    const rectification = variance.times(limit).over(length).sqrt()
    const rectified = length.isGreaterThan(4)

    const early = options.silentStart ? 0 : hyper.learningRate
    const learningRate = where(rectified, hyper.learningRate.times(rectification), early)
    const normalized = g.over(v.sqrt().over(correction.sqrt()).plus(epsilon))
    const step = scheduleFreeStep(context, where(rectified, normalized, g), learningRate, beta1)
    return { ...step, state: { ...step.state, v } }
  },
  average: ({ p, state, hyper }) => scheduleFreeAverage(p, state.z, hyper.beta1),
})
