import type { RuleContext, RuleResult } from '../language/definition.ts'
import { copyOfParameter, scalar } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

type Slots = 'z' | 'weightSum' | 'largestLearningRate'
type Hyper = 'weightStepPower' | 'weightLearningRatePower'
type Context = Pick<RuleContext<Hyper, Record<never, never>, Slots>, 'p' | 't' | 'hyper' | 'state' | 'ownWeightDecay'>

/** The slots of every Schedule-Free method: the sequence z and what the weights of its average need. */
export const scheduleFreeState = { z: copyOfParameter(), weightSum: scalar(0), largestLearningRate: scalar(0) }

/**
 * What follows from a direction and the learning rate of this step: the parameter y and z move along it, and y is drawn to
 * z by the weight of this step in the average x. `beta` says where y lies between z and x.
 */
export function scheduleFreeStep(
  { p: y, t, hyper, state, ownWeightDecay }: Context,
  direction: Value,
  learningRate: Value,
  beta: Value,
): RuleResult<Slots> {
  const largestLearningRate = state.largestLearningRate.maximum(learningRate)
  const weight = t.power(hyper.weightStepPower).times(largestLearningRate.power(hyper.weightLearningRatePower))
  const weightSum = state.weightSum.plus(weight)
  const c = where(weightSum.isGreaterThan(0), weight.over(weightSum), 0)
  return {
    direction,
    state: { weightSum, largestLearningRate },
    apply: (changed, project) => {
      const u = changed.plus(y.times(ownWeightDecay))
      const share = beta.times(c.negated().plus(1)).minus(1)
      const free = state.z.minus(u.times(learningRate))
      const z = project(free)
      const pulled = z === free ? u.times(share.times(learningRate)) : state.z.minus(z).times(share)
      return { parameter: y.plus(state.z.minus(y).times(c)).plus(pulled), state: { z } }
    },
  }
}

/** The average x, from y = β x + (1 - β) z. */
export function scheduleFreeAverage(y: Value, z: Value, beta: Value): Value {
  return y.plus(z.minus(y).times(beta.power(-1).negated().plus(1)))
}
