import { square } from './properties.ts'
import type { Routine, RoutineReference } from './routine.ts'

/**
 * The lower triangle L with L Lᵀ the symmetric part of the operand, batch by batch. All of a matrix that is not positive definite is
 * not a number.
 */
export const cholesky: Routine = {
  title: 'Cholesky factor',
  factors: true,
  results: ([operand]) => [square('cholesky', operand!)],
  operations: ([operand]) => Math.round((operand![0] * operand![1] ** 3) / 3),
}

/** Column by column. */
export const choleskyReference: RoutineReference = ([operand]) => {
  const [batch, order] = operand!.dimensions
  const result = new Float64Array(operand!.values.length)
  for (let b = 0; b < batch; b++) {
    const start = b * order * order
    const rest = operand!.values.slice(start, start + order * order)
    const factor = result.subarray(start, start + order * order)
    for (let i = 0; i < order; i++) {
      for (let j = 0; j < i; j++) rest[i * order + j] = (rest[i * order + j]! + rest[j * order + i]!) / 2
    }
    for (let k = 0; k < order; k++) {
      const pivot = rest[k * order + k]!
      if (!(pivot > 0)) {
        factor.fill(Number.NaN)
        break
      }
      for (let i = k; i < order; i++) factor[i * order + k] = rest[i * order + k]! / Math.sqrt(pivot)
      for (let j = k + 1; j < order; j++) {
        for (let i = j; i < order; i++) rest[i * order + j]! -= factor[i * order + k]! * factor[j * order + k]!
      }
    }
  }
  return [result]
}
