import { type Value, where } from '../language/value.ts'

/** The permutation that puts the columns of a matrix into descending order of a row of values: `matrix.matmul(descending(values))`. */
export function descending(values: Value): Value {
  const others = values
  const own = values.transposed()
  const equalBefore = others.equals(own).and(values.columnIndex().isLessThan(own.rowIndex()))
  const rank = where(others.isGreaterThan(own).or(equalBefore), 1, 0).sum('columns')
  return where(rank.equals(values.columnIndex()), 1, 0)
}
