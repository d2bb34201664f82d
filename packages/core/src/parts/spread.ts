import type { Value } from '../language/value.ts'

/** One number per row given to every element of the row. `magnitudes`, whose dimensions it takes, are not below 0. */
export function spreadOver(magnitudes: Value, perRow: Value): Value {
  return magnitudes.minimum(0).plus(perRow)
}
