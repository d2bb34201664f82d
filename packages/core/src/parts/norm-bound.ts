import { type Value, where } from '../language/value.ts'

/** How many vectors `normBound` starts from. */
export const boundVectors = 32

const leastNormal = 2 ** -126

/**
 * A lower bound for the largest singular value of a symmetric or antisymmetric matrix, close to it: the longest of `boundVectors` vectors
 * after four products with the matrix, normalized after each second one. They start around the longest row of the matrix. `scale` is about as
 * large as the matrix, so that float32 holds the squares.
 *
 * @param drawn independent normal numbers, `boundVectors` rows of them.
 */
export function normBound(matrix: Value, scale: Value, drawn: Value): Value {
  const unit = scale.plus(leastNormal)
  const relative = matrix.over(unit)
  const longest = longestRow(relative)
  const side = drawn.times(longest).sum('columns').sign()
  const start = longest.plus(drawn.times(side)).matmul(relative)
  const turned = start.over(start.norm('columns').plus(leastNormal)).matmul(relative).matmul(relative)
  const last = turned.over(turned.norm('columns').plus(leastNormal)).matmul(relative)
  return last.norm('columns').largest().times(unit)
}

/**
 * A lower bound for the largest singular value of a matrix, close to it: its longest row, or its longest column if that is longer, after two
 * products with the matrix, the first result normalized.
 */
export function boundByLongest(matrix: Value): Value {
  const unit = matrix.abs().largest().plus(leastNormal)
  const relative = matrix.over(unit)
  const squares = relative.square()
  const throughRow = (x: Value) => {
    const once = longestRow(x).matmul(x.transposed())
    return once.over(once.norm().plus(leastNormal)).matmul(x).norm()
  }
  const columnIsLonger = squares.sum('rows').largest().isGreaterThan(squares.sum('columns').largest())
  return where(columnIsLonger, throughRow(relative.transposed()), throughRow(relative)).times(unit)
}

/** The longest row of a matrix, the first of several. */
function longestRow(matrix: Value): Value {
  const squares = matrix.square().sum('columns')
  const place = where(squares.equals(squares.largest()), squares.rowIndex(), matrix.rows)
  const first = place.negated().largest().negated()
  return where(squares.rowIndex().equals(first), matrix, 0).sum('rows')
}
