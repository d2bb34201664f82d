import type { Routine, RoutineReference } from './routine.ts'

/** The rows of each matrix in the opposite order. */
export const reversal: Routine = {
  title: 'reversal of rows',
  results: ([operand]) => [operand!],
  operations: () => 0,
}

export const reversalReference: RoutineReference = ([operand]) => {
  const { values, dimensions } = operand!
  const [batch, rows, columns] = dimensions
  const result = new Float64Array(values.length)
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      const from = (b * rows + rows - 1 - r) * columns
      result.set(values.subarray(from, from + columns), (b * rows + r) * columns)
    }
  }
  return [result]
}
