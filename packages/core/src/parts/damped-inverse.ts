import { matrixPower } from '../language/factorizations.ts'
import type { Value } from '../language/value.ts'

/** (A + damping I)⁻¹ of matrices without negative eigenvalues, save for rounding. */
export function dampedInverse(matrix: Value, damping: Value): Value {
  return matrixPower(matrix, -1, (values) => values.maximum(0).plus(damping))
}
