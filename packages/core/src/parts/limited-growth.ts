import { type Operand, type Value, where } from '../language/value.ts'

/** What is left of the length of a step that may be `growth` times as long as the one before. */
export interface LimitedGrowth {
  /** What the step is multiplied by. */
  readonly share: Value
  /** Its length then: the state for the next step. */
  readonly length: Value
}

/**
 * The norm-growth limiter of Fira: min(1, growth (previous + ε) / length). After a step of length 0, and so at the first one, there is
 * no limit: in the official codes such a step would hold all later ones down.
 */
export function limitedGrowth(length: Value, previous: Value, growth: Operand, epsilon = 1e-8): LimitedGrowth {
  const next = where(previous.isGreaterThan(0), length.minimum(previous.plus(epsilon).times(growth)), length)
  return { share: where(length.isGreaterThan(0), next.over(length), 1), length: next }
}
