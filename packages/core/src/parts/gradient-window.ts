import type { Paper } from '../language/definition.ts'
import { cholesky, eigen, solveLower, solveUpper } from '../language/factorizations.ts'
import { shaped } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { onDiagonal } from './diagonal.ts'

/** The paper whose windows hold less of each gradient. */
export const efcpPaper: Paper = {
  title: 'Error Feedback Can Accurately Compress Preconditioners',
  authors: 'Modoranu, Kalinov, Kurtic, Frantar, Alistarh',
  year: 2023,
  arxiv: '2306.06098',
}

/** The share of its squared norm that a gradient is damped by at least: with less, rounding to float32 may leave no positive-definite matrix. */
const leastDamping = 2 ** -22

/** Inner products of gradients with a row and a column exchanged, those of the gradient that is new. */
export function exchanged(products: Value, ofNewest: Value, newest: Value): Value {
  const inRow = products.rowIndex().equals(newest)
  const inColumn = products.columnIndex().equals(newest)
  return where(inRow, ofNewest.transposed(), where(inColumn, ofNewest, products))
}

/** State of a window of whole gradients: its rows, and their inner products. */
export const gradientWindowSlots = {
  gradients: shaped(({ size }, { window }) => [1, window as number, size]),
  products: shaped((_, { window }) => [1, window as number, window as number]),
}

/** A window with a gradient in row `newest`. */
export function withNewest(
  state: { readonly gradients: Value; readonly products: Value },
  g: Value,
  newest: Value,
): { readonly gradients: Value; readonly products: Value } {
  const row = g.as([1, 1, state.gradients.columns])
  const gradients = where(state.gradients.rowIndex().equals(newest), row, state.gradients)
  return { gradients, products: exchanged(state.products, gradients.matmul(row.transposed()), newest) }
}

/**
 * How much of each of m gradients, the rows of G, there is in `(δ I + GᵀG / m)⁻¹ g` for the g in row `newest`: a column. By the
 * identity of Woodbury `(δ I + GᵀG / m)⁻¹ Gᵀ = m Gᵀ (m δ I + G Gᵀ)⁻¹`, so that no large numbers cancel and only the inner products
 * `G Gᵀ` are needed.
 */
export function inverseFisherShares(products: Value, newest: Value, damping: Value): Value {
  const count = products.rows
  const ridge = products.times(leastDamping).maximum(damping).times(count)
  const factor = cholesky(products.plus(onDiagonal(products, ridge)))
  const unit = where(products.rowIndex().equals(newest), 1, 0)
  return solveUpper(factor.transposed(), solveLower(factor, unit)).times(count)
}

/** The least singular value of a window, as a share of the largest, so that a division by it leaves what rounding leaves of such a direction small. */
const leastSingular = 2 ** -11

/** The singular values σ of a window of gradients, the rows of G, as a row, and the left singular vectors V as columns, from the products G Gᵀ. */
export function singularOfWindow(products: Value): { readonly values: Value; readonly vectors: Value } {
  const { values, vectors } = eigen(products)
  const own = values.maximum(0).sqrt()
  return { values: own.maximum(own.largest().times(leastSingular)), vectors }
}
