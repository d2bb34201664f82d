import { type Dimensions, formatDimensions, sizeOf } from '../graph/dimensions.ts'
import type { Routine, RoutineReference } from './routine.ts'

function shapes(operands: readonly Dimensions[]) {
  const [left, right] = operands as [Dimensions, Dimensions]
  const [batch, rows, inner] = left
  return { left, right, batch, rows, inner, columns: right[2] }
}

/** The product of two matrices, batch by batch. */
export const product: Routine = {
  title: 'product',
  results(operands) {
    const { left, right, batch, rows, inner, columns } = shapes(operands)
    if (right[0] !== batch || right[1] !== inner) {
      throw new Error(
        `matmul: ${formatDimensions(left)} times ${formatDimensions(right)} (batch, rows, columns): ` +
          'the columns of the first must be the rows of the second, and the batches equal',
      )
    }
    return [[batch, rows, columns]]
  },
  operations(operands) {
    const { batch, rows, inner, columns } = shapes(operands)
    return 2 * batch * rows * inner * columns
  },
}

/** Σ_k left[i, k] right[k, j], in the order of k. */
export const productReference: RoutineReference = ([left, right]) => {
  const [batch, rows, inner] = left!.dimensions
  const columns = right!.dimensions[2]
  const result = new Float64Array(sizeOf([batch, rows, columns]))
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      for (let k = 0; k < inner; k++) {
        const factor = left!.values[(b * rows + r) * inner + k]!
        for (let c = 0; c < columns; c++) {
          result[(b * rows + r) * columns + c]! += factor * right!.values[(b * inner + k) * columns + c]!
        }
      }
    }
  }
  return [result]
}
