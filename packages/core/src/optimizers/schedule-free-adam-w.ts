import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, real, smallDivisor } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare, largestSquared } from '../parts/ema-of-square.ts'
import { scheduleFreeAverage, scheduleFreeState, scheduleFreeStep } from '../parts/schedule-free.ts'

/**
 * Schedule-Free AdamW: AdamW that averages its iterates as it goes, in place of a schedule that decays the learning rate.
 * Train with θ (the paper's y), evaluate with `evaluationParameters()` (the paper's x).
 *
 * ```text
 * ηₜ ← η min(1, t / warmupSteps)
 * v  ← β2 v + (1 - β2) g²
 * u  ← g / (√(v / (1 - β2ᵗ)) + ε) + λ y    decay at y
 * w  ← t^weightStepPower ηmax^weightLearningRatePower,   ηmax the largest ηₜ so far
 * c  ← w / (sum of all w)
 * y  ← (1 - c) y + c z + ηₜ (β1 (1 - c) - 1) u
 * z  ← z - ηₜ u
 * x  = y + (1 - 1 / β1) (z - y)
 * ```
 *
 * Defaults of the official code: η 0.0025, β (0.9, 0.999), ε 1e-8, λ 0, no warm-up (though one is recommended), step power
 * (`r`) 0, learning-rate power 2. `innerMomentum` above 0 takes a bias-corrected average of g as the numerator of u. State:
 * `z` and `v`, shaped like the parameter, `m` only with inner momentum; the numbers `weightSum` and `largestLearningRate`
 * per tensor.
 *
 * y, z and x are tied by y = β1 x + (1 - β1) z, so x needs no memory of its own. Since the rule moves several sequences it
 * applies learning rate and decay itself. The official code counts steps once for all parameters; here a parameter's own
 * updates count.
 *
 * Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, The Road Less Scheduled, arXiv 2405.15682.
 */
export const scheduleFreeAdamW = defineOptimizer({
  name: 'scheduleFreeAdamW',
  title: 'Schedule-Free AdamW',
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
    warmupSteps: nonNegative(0),
    weightStepPower: real(0),
    weightLearningRatePower: real(2),
    innerMomentum: decayRate(0),
  },
  state: {
    ...scheduleFreeState,
    v: zeros(),
    m: zeros({ when: ({ disabled }) => !disabled('innerMomentum') }),
  },
  decay: 'own',
  search: { learningRate: logUniform(3e-4, 3e-2), beta1: oneOf(0.9, 0.95, 0.98), weightDecay: oneOf(0, 0.01, 0.1) },
  schedule: 'constant',
  largestGradient: largestSquared,
  rule(context) {
    const { g, t, state, hyper, disabled } = context
    const { beta1, beta2, epsilon, innerMomentum } = hyper
    const learningRate = hyper.learningRate.times(t.over(hyper.warmupSteps).minimum(1))
    const v = emaOfSquare(state.v, g, beta2)
    const root = v.sqrt().over(biasCorrection(beta2, t).sqrt())
    const m = disabled('innerMomentum') ? g : ema(state.m, g, innerMomentum)
    const mHat = m.over(biasCorrection(innerMomentum, t))
    const step = scheduleFreeStep(context, mHat.over(root.plus(epsilon)), learningRate, beta1)
    return { ...step, state: { ...step.state, v, ...(disabled('innerMomentum') ? {} : { m }) } }
  },
  average: ({ p, state, hyper }) => scheduleFreeAverage(p, state.z, hyper.beta1),
})
