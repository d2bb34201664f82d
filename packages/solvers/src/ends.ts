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
  readonly residual: number
  /** Whether the line search found no end. */
  readonly endless?: boolean | undefined
}

/** How many iterations may go by with neither the residual halved nor the value lower by a share of it, or of 1. */
const patience = 30
const noticed = 1e-9

/**
 * Whether a descent has to end after an iteration: the value has no limit below, it or the point hardly changes, or nothing has come of many
 * iterations, as where slopes by finite differences are not as exact as the tolerance asks.
 */
export function endings(tolerances: Tolerances): (iteration: Iteration) => Status | undefined {
  let [residualThen, valueThen, idle] = [Infinity, Infinity, 0]
  return ({ x, value, previous, step, residual, endless }) => {
    if (value === -Infinity || endless) return { kind: 'unbounded' }
    // A tolerance of zero is no test.
    if (tolerances.step > 0 && step <= tolerances.step * (tolerances.step + norm(x))) {
      return { kind: 'converged', test: 'step' }
    }
    const size = Math.max(Math.abs(previous), Math.abs(value), 1)
    if (tolerances.value > 0 && Math.abs(previous - value) <= tolerances.value * size) {
      return { kind: 'converged', test: 'value' }
    }
    if (residual <= residualThen / 2 || !(valueThen - value <= noticed * size)) {
      ;[residualThen, valueThen, idle] = [Math.min(residual, residualThen), value, 0]
    } else if (++idle >= patience && residual > tolerances.gradient) {
      return {
        kind: 'failed',
        reason: `nothing has come of ${patience} iterations: slopes are not as exact as ${tolerances.gradient}`,
      }
    }
    return undefined
  }
}

/** What a descent says that has found no lower point along its direction. */
export const noLowerPoint: Status = {
  kind: 'failed',
  reason: 'the line search found no lower point: the value is noisy, or not smooth',
}
