import { defineTransform } from '../language/definition.ts'
import { stepCount } from '../language/hyperparameters.ts'
import { scalar, zeros } from '../language/slots.ts'

/**
 * Gradient accumulation: the optimizer inside sees the mean gradient of `period` (default 4) steps and moves once per
 * `period` calls of `step`; its step counts and schedules count its own updates. In between only the sum is touched.
 *
 * ```text
 * sum ← sum + g, n ← n + 1;  when the count of gradients is a multiple of the period:  g ← sum / n, sum ← 0, n ← 0, one update
 * ```
 *
 * Each tensor has windows of its own: a step without a gradient for it does not count for it, and the mean is that of the
 * gradients that it had, all of the same weight. So the mean is right also where the period changes in the middle of a window.
 * To end a window early, as at the end of an epoch, take its last step with `set({ period: 1 })` and set the period back.
 * State: `sum`, shaped like the parameter, and the number n (`count`).
 */
export const accumulateGradients = defineTransform({
  name: 'accumulateGradients',
  title: 'Gradient accumulation',
  hyper: { period: stepCount(4) },
  state: { sum: zeros(), count: scalar(0) },
  gradient({ g, state, hyper, every }) {
    const sum = state.sum.plus(g)
    const count = state.count.plus(1)
    const nothing = hyper.period.lifted(0)
    const release = () => ({ gradient: sum.over(count), state: { sum: nothing, count: nothing } })
    return every(hyper.period, release, { hold: true as const, state: { sum, count } })
  },
})
