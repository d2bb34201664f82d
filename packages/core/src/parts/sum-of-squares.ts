import type { Value } from '../language/value.ts'

/** A sum of squares one term on, `old + value²`, held at the largest float32 that is not infinite. */
export function sumOfSquares(old: Value, value: Value): Value {
  return old.plus(value.square()).limited()
}
