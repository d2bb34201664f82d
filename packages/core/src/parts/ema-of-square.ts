import type { Value } from '../language/value.ts'

/** Just below the largest float32. */
export const largestFinite = 3.4e38

/**
 * The average of squares one step on, `beta old + (1 - beta) value²`, so computed that one huge gradient does not make the
 * average infinite in float32 and freeze its element for ever: the square is taken of `√(1 - beta) value`, and what still
 * is too large stays at the limit, from which it decays.
 */
export function emaOfSquare(old: Value, value: Value, beta: Value): Value {
  return old
    .times(beta)
    .plus(value.times(beta.negated().plus(1).sqrt()).square())
    .minimum(largestFinite)
}
