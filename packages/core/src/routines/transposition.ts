import type { Routine, RoutineReference } from './routine.ts'

/** Rows and columns exchanged, batch by batch. */
export const transposition: Routine = {
  title: 'transposition',
  results: ([operand]) => [[operand![0], operand![2], operand![1]]],
  operations: () => 0,
}

export const transpositionReference: RoutineReference = ([operand]) => {
  const { values, dimensions } = operand!
  const [batch, columns, rows] = dimensions
  const result = new Float64Array(values.length)
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        result[(b * rows + r) * columns + c] = values[(b * columns + c) * rows + r]!
      }
    }
  }
  return [result]
}
