import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf, real } from '../language/hyperparameters.ts'
import { scheduleFreeAverage, scheduleFreeState, scheduleFreeStep } from '../parts/schedule-free.ts'

/**
 * Schedule-Free SGD: SGD that averages its iterates as it goes, in place of momentum and of a schedule that decays the
 * learning rate. Train with θ (the paper's y), evaluate with `evaluationParameters()` (the paper's x).
 *
 * ```text
 * ηₜ ← η min(1, t / warmupSteps)
 * u  ← g + λ y                             decay at y
 * w  ← t^weightStepPower ηmax^weightLearningRatePower,   ηmax the largest ηₜ so far
 * c  ← w / (sum of all w)
 * y  ← (1 - c) y + c z + ηₜ (momentum (1 - c) - 1) u
 * z  ← z - ηₜ u
 * x  = y + (1 - 1 / momentum) (z - y)
 * ```
 *
 * Defaults of the official code: η 1, momentum 0.9, λ 0, no warm-up (though one is recommended), step power (`r`) 0,
 * learning-rate power 2. Learning rates are 10 to 50 times those of SGD. State: `z`, shaped like the parameter; the
 * numbers `weightSum` and `largestLearningRate` per tensor.
 *
 * y, z and x are tied by y = momentum x + (1 - momentum) z, so x needs no memory of its own. Since the rule moves several
 * sequences it applies learning rate and decay itself. The official code counts steps once for all parameters; here a
 * parameter's own updates count.
 *
 * Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, The Road Less Scheduled, arXiv 2405.15682.
 */
export const scheduleFreeSGD = defineOptimizer({
  name: 'scheduleFreeSGD',
  title: 'Schedule-Free SGD',
  family: 'averaging',
  paper: {
    title: 'The Road Less Scheduled',
    authors: 'Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky',
    year: 2024,
    arxiv: '2405.15682',
  },
  hyper: {
    learningRate: nonNegative(1),
    momentum: { ...decayRate(0.9), aboveMinimum: true },
    weightDecay: nonNegative(0),
    warmupSteps: nonNegative(0),
    weightStepPower: real(0),
    weightLearningRatePower: real(2),
  },
  state: scheduleFreeState,
  decay: 'own',
  search: { learningRate: logUniform(1e-2, 10), momentum: oneOf(0.9, 0.95, 0.98) },
  schedule: 'constant',
  rule(context) {
    const { g, t, hyper } = context
    const learningRate = hyper.learningRate.times(t.over(hyper.warmupSteps).minimum(1))
    return scheduleFreeStep(context, g, learningRate, hyper.momentum)
  },
  average: ({ p, state, hyper }) => scheduleFreeAverage(p, state.z, hyper.momentum),
})
