import { type Dimensions, sizeOf } from '../graph/dimensions.ts'
import type { Routine, RoutineReference } from './routine.ts'

/** X Xᵀ, batch by batch: symmetric, so only half of it is computed. Of a symmetric matrix it is the square. */
export const gram: Routine = {
  title: 'gram matrix',
  results: ([operand]) => [[operand![0], operand![1], operand![1]]],
  operations: ([operand]) => {
    const [batch, rows, inner] = operand as Dimensions
    return batch * rows * (rows + 1) * inner
  },
}

/** Σ_k x[i, k] x[j, k], in the order of k. */
export const gramReference: RoutineReference = ([operand]) => {
  const { values, dimensions } = operand!
  const [batch, rows, inner] = dimensions
  const result = new Float64Array(sizeOf([batch, rows, rows]))
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < rows; j++) {
        let sum = 0
        for (let k = 0; k < inner; k++) sum += values[(b * rows + i) * inner + k]! * values[(b * rows + j) * inner + k]!
        result[(b * rows + i) * rows + j] = sum
      }
    }
  }
  return [result]
}
