import { type Value, where } from '../language/value.ts'

/** The place of every number of a row of values in descending order, from 0; of equal ones the first comes first. */
export function ranks(values: Value): Value {
  const others = values
  const own = values.transposed()
  const equalBefore = others.equals(own).and(values.columnIndex().isLessThan(own.rowIndex()))
  return where(others.isGreaterThan(own).or(equalBefore), 1, 0).sum('columns').transposed()
}

/** The permutation that puts the columns of a matrix into descending order of a row of values: `matrix.matmul(descending(values))`. */
export function descending(values: Value): Value {
  return where(ranks(values).transposed().equals(values.columnIndex()), 1, 0)
}
