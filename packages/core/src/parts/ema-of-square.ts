import type { Value } from '../language/value.ts'

/** The largest gradient of rules that square it: float32 holds its square, and sums and differences of a few such. */
export const largestSquared = 2 ** 60

/**
 * The average of squares one step on, `beta old + (1 - beta) value²`, so computed that one huge value does not make the average
 * infinite in float32 and freeze its element for ever: the square is taken of `√(1 - beta) value`, and what still is too large
 * stays at the limit, from which it decays. Give the definition a `largestGradient`, so that the other averages of a rule are made
 * of the same gradient.
 */
export function emaOfSquare(old: Value, value: Value, beta: Value): Value {
  return old
    .times(beta)
    .plus(value.times(beta.negated().plus(1).sqrt()).square())
    .limited()
}
