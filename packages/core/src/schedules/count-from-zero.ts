import { hyperValue, wrongArgument } from './arguments.ts'
import { evaluateSchedule, type HyperValue, type Schedule, startOf } from './schedule.ts'

/**
 * Another schedule one step later, so that training begins at its start: a `cosine` then begins at its peak and spends no step
 * at its end, as in optax and wherever schedules count updates from 0.
 *
 * at(1) = the start of the schedule (the `from` of a ramp), at(t) = schedule.at(t − 1).
 *
 * @param schedule a schedule, a function of the step or a number.
 * @throws Error when `schedule` is none of these.
 * @example
 * ```ts
 * import { cosine, countFromZero } from 'fallline'
 *
 * const learningRate = countFromZero(cosine({ from: 0.2, to: 0, steps: 100 }))
 * learningRate.at(1) // 0.2
 * learningRate.at(51) // 0.1
 * learningRate.at(101) // 0
 * ```
 */
export function countFromZero(schedule: HyperValue): Schedule {
  if (!hyperValue.accepts(schedule)) throw wrongArgument('countFromZero', 'schedule', schedule, hyperValue.expected)
  return {
    kind: 'countFromZero',
    arguments: [schedule],
    start: startOf(schedule),
    at: (step) => (step <= 1 ? startOf(schedule) : evaluateSchedule(schedule, step - 1)),
  }
}
