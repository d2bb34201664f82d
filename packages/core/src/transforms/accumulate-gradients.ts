import { defineTransform } from '../language/definition.ts'
import { stepCount } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'

/**
 * Gradient accumulation: the optimizer inside sees the mean gradient of `period` (default 4) steps and moves once per
 * `period` calls of `step`; its step counts and schedules count its own updates. In between only the sum is touched.
 *
 * ```text
 * sum ← sum + g;  every period steps:  g ← sum / period, sum ← 0, one update
 * ```
 */
export const accumulateGradients = defineTransform({
  name: 'accumulateGradients',
  title: 'Gradient accumulation',
  hyper: { period: stepCount(4) },
  state: { sum: zeros() },
  gradient({ g, state, hyper, every }) {
    const sum = state.sum.plus(g)
    const release = () => ({ gradient: sum.over(hyper.period), state: { sum: hyper.period.lifted(0) } })
    return every(hyper.period, release, { hold: true as const, state: { sum } })
  },
})
