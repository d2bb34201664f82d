import { type Value, where } from '../language/value.ts'

/** The identity, of the dimensions of a square matrix. */
export function identityLike(matrix: Value): Value {
  return onDiagonal(matrix, matrix.batch === 1 ? 1 : matrix.batchIndex().times(0).plus(1))
}

/** The matrix without what lies beside its diagonal. */
export function diagonalOf(matrix: Value): Value {
  return onDiagonal(matrix, matrix)
}

/** The sum of what stands on the diagonal. */
export function traceOf(matrix: Value): Value {
  return diagonalOf(matrix).sum()
}

/** The trace over the number of rows: the mean eigenvalue. */
export function meanTrace(matrix: Value): Value {
  return traceOf(matrix).over(Math.max(matrix.rows, 1))
}

/** What stands on the diagonal of a square matrix of these dimensions, and 0 beside it. */
export function onDiagonal(matrix: Value, value: Value | 1): Value {
  return where(matrix.rowIndex().equals(matrix.columnIndex()), value, 0)
}
