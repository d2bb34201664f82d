import { type RoutineName, routineOf } from '../routines/table.ts'
import { Value } from './value.ts'

/** What `eigen` gives. */
export interface Eigendecomposition {
  /** In ascending order, as a row, so that `vectors.times(values)` scales each vector by its own. */
  readonly values: Value
  /** As columns, orthonormal, the largest number of each above 0. */
  readonly vectors: Value
}

/** What `qr` gives: of m × n, with k the smaller of both, `q` is m × k and `r` is k × n. */
export interface QrFactors {
  /** Orthonormal columns. */
  readonly q: Value
  /** An upper triangle with no number below 0 on its diagonal. */
  readonly r: Value
}

/** What `svd` gives: of m × n, with k the smaller of both, `left` is m × k and `right` is k × n. */
export interface SingularValues {
  /** Orthonormal columns. */
  readonly left: Value
  /** In descending order, as a row. */
  readonly values: Value
  /** Orthonormal rows. */
  readonly right: Value
}

/**
 * The eigenvalues and eigenvectors of a symmetric matrix, or of the symmetric part of any, batch by batch: the product of `vectors`, of
 * `values` on a diagonal, and of `vectors` transposed. On WebAssembly computed in float64 and rounded to float32. Vectors of
 * equal values are any basis of their space. What is not finite gives what is not a number.
 * @throws Error when the matrix is not square.
 */
export function eigen(matrix: Value): Eigendecomposition {
  const [values, vectors] = factor('eigen', matrix)
  return { values: values!, vectors: vectors! }
}

/**
 * The factors Q and R of a matrix, batch by batch, by reflections. Where columns depend on those before, Q is completed by any
 * directions that do not; in jax-js, which has no reflections, such a matrix gives what is not a number.
 */
export function qr(matrix: Value): QrFactors {
  const [q, r] = factor('qr', matrix)
  return { q: q!, r: r! }
}

/**
 * As `qr`, with the signs that LAPACK leaves: each number on the diagonal of R stands against the one that was reflected there. For rules to
 * which signs matter, such as those that round columns to codes. In jax-js it takes a product for each column.
 */
export function householderQr(matrix: Value): QrFactors {
  const [q, r] = factor('householder', matrix)
  return { q: q!, r: r! }
}

/**
 * The Q of `qr`, some columns at a time and in any order, batch by batch. A row of marks says of every column what it is: below 0, it belongs
 * to Q already; from 0 to below 1, it is made orthonormal to those and to the ones with smaller marks; from 1 on, it stays as it is. Where a column depends on those before, an axis takes its place; in jax-js such a matrix gives what is not
 * a number.
 * @throws Error when there is not one mark for each column.
 */
export function orthonormalize(matrix: Value, marks: Value): Value {
  return factor('orthonormalization', matrix, marks)[0]!
}

/**
 * The thin singular value decomposition, batch by batch: the product of `left`, of `values` on a diagonal, and of `right`. The vectors
 * of the shorter side are oriented by their largest number, which is above 0. On WebAssembly computed in float64 from the Gram
 * matrix of the shorter side, so that values below 1e-8 of the largest are lost, which float32 cannot tell from 0 either.
 */
export function svd(matrix: Value): SingularValues {
  const [left, values, right] = factor('svd', matrix)
  return { left: left!, values: values!, right: right! }
}

/**
 * The lower triangle whose product with its transpose is the symmetric part of a matrix, batch by batch. Of a matrix that is not positive
 * definite every number of it is not a number.
 * @throws Error when the matrix is not square.
 */
export function cholesky(matrix: Value): Value {
  return factor('cholesky', matrix)[0]!
}

/**
 * X where T X is `right`, for the lower triangle T of a matrix, whose upper triangle is not read; batch by batch.
 * @throws Error when the matrix is not square or the right side does not fit it.
 */
export function solveLower(matrix: Value, right: Value): Value {
  return factor('solveLower', matrix, right)[0]!
}

/**
 * X where T X is `right`, for the upper triangle T of a matrix, whose lower triangle is not read; batch by batch.
 * @throws Error when the matrix is not square or the right side does not fit it.
 */
export function solveUpper(matrix: Value, right: Value): Value {
  return factor('solveUpper', matrix, right)[0]!
}

/**
 * The product of two symmetric matrices that commute, such as powers and polynomials of the same one, batch by batch: symmetric, so
 * half the work of `matmul`. Of others it is not the product.
 * @throws Error when the matrices are not square or not of the same dimensions.
 */
export function symmetricProduct(left: Value, right: Value): Value {
  return factor('symmetricProduct', left, right)[0]!
}

/**
 * A power of a symmetric matrix, whose eigenvalues may first be changed, as by `(values) => values.maximum(0).plus(1e-12)`.
 */
export function matrixPower(matrix: Value, exponent: number, change = (values: Value): Value => values): Value {
  const { values, vectors } = eigen(matrix)
  return vectors.times(change(values).power(exponent)).matmul(vectors.transposed())
}

function factor(routine: RoutineName, ...operands: readonly Value[]): Value[] {
  const { graph, nameReduction } = operands[0]!
  const nodes = operands.map(({ node }) => node)
  return graph.routine(routine, routineOf(routine), nodes).map((result) => new Value(graph, result, nameReduction))
}
