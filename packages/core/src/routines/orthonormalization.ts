import { type Dimensions, formatDimensions } from '../graph/dimensions.ts'
import { anotherDirection, length } from './qr.ts'
import type { Routine, RoutineReference } from './routine.ts'

/**
 * The Q of QR factors, some columns at a time and in any order; batch by batch. A row of marks says of every column of the operand what it is:
 * below 0, it belongs to Q already; from 0 to below 1, it is made orthonormal to those and to the ones with smaller marks; from 1 on, it
 * stays as it is.
 */
export const orthonormalization: Routine = {
  title: 'orthonormal columns',
  factors: true,
  results([operand, marks]) {
    const [batch, , columns] = operand!
    if (marks![0] !== batch || marks![1] !== 1 || marks![2] !== columns) {
      throw new Error(
        `orthonormalize: ${formatDimensions(operand!)} with ${formatDimensions(marks!)} (batch, rows, columns): there must be one mark for each column`,
      )
    }
    return [operand!]
  },
  // What all columns cost, as if none had been done: how many are, only their marks say.
  operations: ([operand]) => 4 * operand![0] * operand![1] * operand![2] ** 2,
}

/**
 * Columns are made orthogonal to those before (Gram and Schmidt), again as long as that more than halves them (Daniel, Gragg, Kaufman,
 * Stewart 1976); where nothing is left, an axis takes their place, from the column's own on.
 */
export const orthonormalizationReference: RoutineReference = ([operand, marks]) => {
  const [batch, rows, columns] = operand!.dimensions as Dimensions
  const result = operand!.values.slice()
  for (let b = 0; b < batch; b++) {
    const mark = (j: number) => marks!.values[b * columns + j]!
    const column = (j: number) =>
      Float64Array.from({ length: rows }, (_, i) => operand!.values[(b * rows + i) * columns + j]!)
    const all = Array.from({ length: columns }, (_, j) => j)
    const basis: Float64Array[] = all.filter((j) => mark(j) < 0).map(column)
    const now = all.filter((j) => mark(j) >= 0 && mark(j) < 1).sort((i, j) => mark(i) - mark(j))
    for (const j of now) {
      const rest = column(j)
      const size = length(rest)
      let [before, left] = [Number.POSITIVE_INFINITY, size]
      while (left < before / 2 && left > 1e-14 * size) {
        for (const vector of basis) {
          const along = vector.reduce((sum, value, i) => sum + value * rest[i]!, 0)
          vector.forEach((value, i) => {
            rest[i]! -= along * value
          })
        }
        before = left
        left = length(rest)
      }
      const unit = left <= 1e-14 * size ? anotherDirection(basis, rows, j) : rest.map((value) => value / left)
      basis.push(unit)
      unit.forEach((value, i) => {
        result[(b * rows + i) * columns + j] = value
      })
    }
  }
  return [result]
}
