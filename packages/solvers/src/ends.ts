import type { Tolerances } from './method.ts'
import type { Status } from './state.ts'
import { norm } from './vector.ts'

/** What an iteration has changed. */
export interface Iteration {
  readonly x: Float64Array
  readonly value: number
  readonly previous: number
  /** Length of the step. */
  readonly step: number
  /** Whether the line search found no end. */
  readonly endless?: boolean | undefined
}

/** Whether a descent has to end after an iteration: the value has no limit below, or it or the point hardly changes. */
export function ended({ x, value, previous, step, endless }: Iteration, tolerances: Tolerances): Status | undefined {
  if (value === -Infinity || endless) return { kind: 'unbounded' }
  // A tolerance of zero is no test.
  if (tolerances.step > 0 && step <= tolerances.step * (tolerances.step + norm(x)))
    return { kind: 'converged', test: 'step' }
  const change = Math.abs(previous - value)
  if (tolerances.value > 0 && change <= tolerances.value * Math.max(Math.abs(previous), Math.abs(value), 1)) {
    return { kind: 'converged', test: 'value' }
  }
  return undefined
}

/** What a descent says that has found no lower point along its direction. */
export const noLowerPoint: Status = {
  kind: 'failed',
  reason: 'the line search found no lower point: the value is noisy, or not smooth',
}
