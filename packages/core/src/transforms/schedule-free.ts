import { defineTransform } from '../language/definition.ts'
import { decayRate, nonNegative, real } from '../language/hyperparameters.ts'
import { copyOfParameter, scalar } from '../language/slots.ts'
import { where } from '../language/value.ts'
import { scheduleFreeAverage } from '../parts/schedule-free.ts'

/**
 * Makes any optimizer schedule-free: it moves a sequence z, x averages what z was, and gradients are taken in between, at
 * the parameter y. Train with θ = y, evaluate with `evaluationParameters()`, which gives x. `scheduleFreeSGD`,
 * `scheduleFreeAdamW` and `scheduleFreeRAdam` are the same for their optimizers in less memory traffic. The wrapped
 * optimizer needs no momentum of its own.
 *
 * ```text
 * z ← optimizer(z, gradient at y)
 * z ← z - η λ y                            weightDecay λ, at y
 * w ← t^weightStepPower ηmax^weightLearningRatePower,   ηmax the largest η so far
 * c ← w / (sum of all w)
 * x ← (1 - c) x + c z
 * y ← momentum x + (1 - momentum) z
 * ```
 *
 * Defaults of the official code: momentum 0.9, λ 0, step power (`r`) 0, learning-rate power 2. State: `z`, shaped like the
 * parameter, and the numbers `weightSum` and `largestLearningRate` per tensor; x follows from y and z.
 *
 * η is what the wrapped optimizer's direction is multiplied by, so one that finds its own (`prodigy`) weighs by it. The
 * official code takes the decay at y off z before the optimizer moves it, which differs by η² λ where that decays z itself.
 *
 * Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, The Road Less Scheduled, arXiv 2405.15682.
 */
export const scheduleFree = defineTransform({
  name: 'scheduleFree',
  title: 'Schedule-Free',
  paper: {
    title: 'The Road Less Scheduled',
    authors: 'Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky',
    year: 2024,
    arxiv: '2405.15682',
  },
  hyper: {
    momentum: { ...decayRate(0.9), aboveMinimum: true },
    weightDecay: nonNegative(0),
    weightStepPower: real(0),
    weightLearningRatePower: real(2),
  },
  state: { z: copyOfParameter(), weightSum: scalar(0), largestLearningRate: scalar(0) },
  innerParameter: ({ state }) => state.z,
  parameter({ p: y, next, t, state, hyper, learningRate }) {
    const z = next.minus(y.times(learningRate.times(hyper.weightDecay)))
    const largestLearningRate = state.largestLearningRate.maximum(learningRate)
    const weight = t.power(hyper.weightStepPower).times(largestLearningRate.power(hyper.weightLearningRatePower))
    const weightSum = state.weightSum.plus(weight)
    const c = where(weightSum.isGreaterThan(0), weight.over(weightSum), 0)
    // The same y without x, whose error would grow by 1 / momentum from step to step.
    const share = hyper.momentum.times(c.negated().plus(1)).negated().plus(1)
    return {
      parameter: y.plus(state.z.minus(y).times(c)).plus(z.minus(state.z).times(share)),
      state: { z, weightSum, largestLearningRate },
    }
  },
  average: ({ p, state, hyper }) => scheduleFreeAverage(p, state.z, hyper.momentum),
})
