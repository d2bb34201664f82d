import type { Dimensions } from '../graph/node.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike, meanTrace } from './diagonal.ts'

/** Which square matrices a factor is one of; each is closed under products. */
export type Structure = 'dense' | 'diagonal' | 'lowerToeplitz' | 'upperToeplitz'

export const structures: readonly Structure[] = ['dense', 'diagonal', 'lowerToeplitz', 'upperToeplitz']

/** Square matrices of a structure, kept as what tells one from another, their coefficients. */
export interface StructuredFactors {
  /** The coefficients of the identity, with the dimensions of others. */
  identity(F: Value): Value
  /** Fᵀ M F, or Fᵀ F without M, projected onto the structure. M is a symmetric matrix, for diagonal ones its diagonal. */
  projected(F: Value, M?: Value): Value
  /** The trace over the size. */
  meanTrace(F: Value): Value
  product(F: Value, G: Value): Value
  /** F Fᵀ X. */
  outer(F: Value, X: Value): Value
}

/** The dimensions of the coefficients of a matrix with `size` rows. */
export function coefficientsOf(structure: Structure, size: number): Dimensions {
  if (structure === 'dense') return [1, size, size]
  // A number for every diagonal on one side, and a 0.
  return [1, 1, structure === 'diagonal' ? size : size + 1]
}

const dense: StructuredFactors = {
  identity: identityLike,
  projected: (F, M) => F.transposed().matmul(M ? M.matmul(F) : F),
  meanTrace,
  product: (F, G) => F.matmul(G),
  outer: (F, X) => F.matmul(F.transposed().matmul(X)),
}

const diagonal: StructuredFactors = {
  identity: (F) => F.times(0).plus(1),
  projected: (F, M) => (M ? F.square().times(M.as(F)) : F.square()),
  meanTrace: (F) => F.sum().over(Math.max(F.columns, 1)),
  product: (F, G) => F.times(G),
  outer: (F, X) => X.times(F.square().as([1, F.columns, 1])),
}

/**
 * Triangles of which every diagonal is one number, as the numbers of the diagonals from the main one on, and a 0 behind them. Products
 * of those of one side have the same coefficients above and below. The projection adds the two sides.
 */
function toeplitz(side: 'lower' | 'upper'): StructuredFactors {
  const matrix = (F: Value) => (side === 'upper' ? upperToeplitz(F) : upperToeplitz(F).transposed())
  const identity = (F: Value) => where(F.columnIndex().equals(0), F.times(0).plus(1), 0)
  return {
    identity,
    projected(F, M) {
      const lengths = F.columnIndex()
        .negated()
        .plus(F.columns - 1)
        .maximum(1)
      const sides = identity(F).negated().plus(2)
      return sumsOfDiagonals(dense.projected(matrix(F), M), F)
        .times(sides)
        .over(lengths)
    },
    meanTrace: (F) => where(F.columnIndex().equals(0), F, 0).sum(),
    product(F, G) {
      const size = F.columns - 1
      const product = F.firstColumns(size).matmul(upperToeplitz(G))
      return product.matmul(where(rowsOf(F, size).equals(F.columnIndex()), 1, 0))
    },
    outer: (F, X) => dense.outer(matrix(F), X),
  }
}

/** The numbers 0, 1, 2, ... of so many rows, fewer than F has coefficients. */
function rowsOf(F: Value, count: number): Value {
  return F.firstColumns(count).as([1, count, 1]).rowIndex()
}

/** The upper triangle with these coefficients c: rows of c, read in rows that are one shorter, begin one further to the right each. */
function upperToeplitz(F: Value): Value {
  const size = F.columns - 1
  const repeated = F.plus(rowsOf(F, size).times(0))
  const shifted = repeated.as([1, size + 1, size])
  const upper = where(shifted.rowIndex().isGreaterThan(shifted.columnIndex()), 0, shifted)
  return upper.transposed().firstColumns(size).transposed()
}

/** The sums of the diagonals of X from the main one upwards, as coefficients like F: the other way round. */
function sumsOfDiagonals(X: Value, F: Value): Value {
  const size = X.rows
  const upper = where(X.rowIndex().isGreaterThan(X.columnIndex()), 0, X)
  const longer = where(
    F.as([1, size + 1, 1])
      .rowIndex()
      .equals(X.columnIndex()),
    1,
    0,
  ).matmul(upper)
  return longer.as([1, size, size + 1]).sum('rows')
}

export const structuredFactors: Readonly<Record<Structure, StructuredFactors>> = {
  dense,
  diagonal,
  lowerToeplitz: toeplitz('lower'),
  upperToeplitz: toeplitz('upper'),
}
