import { symmetricProduct } from '../language/factorizations.ts'
import { type Value, where } from '../language/value.ts'
import { identityLike } from './diagonal.ts'
import { frobeniusNorm } from './newton-schulz.ts'

/** What `inverseRoot` gives. */
export interface InverseRoot {
  readonly root: Value
  /** The largest |M - I| of each matrix: how far the root is from what it should be. */
  readonly residual: Value
}

/** Where an iteration ends, and the growth of the residual from which on it is given up. */
const tolerance = 1e-6
const growth = 1.2

const infinity = Number.POSITIVE_INFINITY

/**
 * A^(-1 / p) of positive definite matrices by coupled Newton iterations, batch by batch, with matrix products alone:
 *
 * ```text
 * z ← (1 + p) / 2‖A‖;  M ← z A;  X ← z^(1 / p) I
 * T ← (1 + 1 / p) I - M / p;  X ← X T;  M ← Tᵖ M          until no element of M - I is above 1e-6
 * ```
 *
 * A step that would let the largest element of M - I grow by more than a fifth is not taken, and ends the iteration. A condition number κ
 * needs about ln κ steps, and some more. `identity` may be 0 on the diagonal where the matrix is nothing but filled
 * with zeros, which the iteration then leaves alone.
 *
 * Anil, Gupta, Koren, Regan, Singer 2020, Scalable second order optimization for deep learning, arXiv 2002.09018, and its code; Guo,
 * Higham 2006, A Schur-Newton method for the matrix pth root and its inverse.
 */
export function inverseRoot(matrix: Value, p: number, steps: number, identity = identityLike(matrix)): InverseRoot {
  const whole = identityLike(matrix)
  const z = frobeniusNorm(matrix)
    .times(2 / (1 + p))
    .power(-1)
  let M = matrix.times(z).plus(whole.minus(identity))
  let X = whole.times(z.power(1 / p))
  let residual = largestOfEach(M.minus(whole).abs())
  for (let step = 0; step < steps; step++) {
    const T = whole.times(1 + 1 / p).minus(M.times(1 / p))
    const nextM = symmetricProduct(wholePower(T, p), M)
    const next = largestOfEach(nextM.minus(whole).abs())
    const goesOn = where(residual.isGreaterThan(tolerance), next, infinity).isAtMost(residual.times(growth))
    X = where(goesOn, symmetricProduct(X, T), X)
    M = where(goesOn, nextM, M)
    residual = where(goesOn, next, residual)
  }
  return { root: X, residual }
}

/** A power of a symmetric matrix, by squaring. */
function wholePower(matrix: Value, exponent: number): Value {
  if (exponent === 1) return matrix
  const half = wholePower(matrix, Math.floor(exponent / 2))
  const square = symmetricProduct(half, half)
  return exponent % 2 === 0 ? square : symmetricProduct(square, matrix)
}

/**
 * The largest eigenvalue of positive semidefinite matrices by power iteration, from all vectors at once: the powers are squared `squarings`
 * times. Never above it; below by at most the share ln(rows) / 2^squarings.
 */
export function largestEigenvalue(matrix: Value, squarings = 10): Value {
  const scale = frobeniusNorm(matrix).maximum(1e-30)
  const unit = matrix.over(scale)
  let power = unit
  for (let step = 0; step < squarings; step++) {
    const square = symmetricProduct(power, power)
    power = square.over(frobeniusNorm(square).maximum(1e-30))
  }
  const weight = traceOfProduct(identityLike(matrix), power)
  return traceOfProduct(power, unit).over(weight.maximum(1e-30)).times(scale)
}

/** The trace of the product of symmetric matrices, of each pair of the batches. */
function traceOfProduct(left: Value, right: Value): Value {
  const product = left.times(right)
  return left.batch === 1 ? product.sum() : product.sum('columns').sum('rows')
}

/** The largest element of each matrix of the batch. */
export function largestOfEach(matrix: Value): Value {
  return matrix.batch === 1 ? matrix.largest() : matrix.largest('columns').largest('rows')
}

/** Whether all elements of each matrix of the batch are finite. */
export function isFiniteMatrix(matrix: Value): Value {
  const sum = matrix.batch === 1 ? matrix.sum() : matrix.sum('columns').sum('rows')
  return sum.abs().isAtMost(3.4e38)
}
