import type { Routine, RoutineReference } from './routine.ts'

/** The first rows and columns of each matrix, as many as the result has, with zeros where it has more than the operand. */
export const resizing: Routine = {
  title: 'resizing',
  results: (_, asked) => [asked!],
  operations: () => 0,
}

export const resizingReference: RoutineReference = ([operand], asked) => {
  const { values, dimensions } = operand!
  const [, height, width] = dimensions
  const [batch, rows, columns] = asked!
  const result = new Float64Array(batch * rows * columns)
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < Math.min(rows, height); r++) {
      for (let c = 0; c < Math.min(columns, width); c++) {
        result[(b * rows + r) * columns + c] = values[(b * height + r) * width + c]!
      }
    }
  }
  return [result]
}
