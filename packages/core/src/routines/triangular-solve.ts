import { formatDimensions } from '../graph/dimensions.ts'
import { square } from './properties.ts'
import type { Routine, RoutineReference } from './routine.ts'

function solve(triangle: 'lower' | 'upper'): Routine {
  return {
    title: `solution for the ${triangle} triangle`,
    factors: true,
    results([matrix, right]) {
      const [batch, order] = square(`solve ${triangle}`, matrix!)
      if (right![0] !== batch || right![1] !== order) {
        throw new Error(
          `solve ${triangle}: ${formatDimensions(matrix!)} with ${formatDimensions(right!)} (batch, rows, columns): ` +
            'the right side must have as many rows as the triangle, and the batches must be equal',
        )
      }
      return [right!]
    },
    operations: ([, right]) => right![0] * right![1] ** 2 * right![2],
  }
}

/** X where L X is the second operand, for the lower triangle L of the first; what stands above its diagonal is not read. */
export const solveLower: Routine = solve('lower')

/** X where U X is the second operand, for the upper triangle U of the first; what stands below its diagonal is not read. */
export const solveUpper: Routine = solve('upper')

/** Number by number, each from those that it needs. */
const reference =
  (lower: boolean): RoutineReference =>
  ([matrix, right]) => {
    const [batch, order, columns] = right!.dimensions
    const found = new Float64Array(right!.values.length)
    for (let b = 0; b < batch; b++) {
      for (let c = 0; c < columns; c++) {
        for (let step = 0; step < order; step++) {
          const i = lower ? step : order - 1 - step
          let rest = right!.values[(b * order + i) * columns + c]!
          const [first, last] = lower ? [0, i] : [i + 1, order]
          for (let j = first; j < last; j++) {
            rest -= matrix!.values[(b * order + i) * order + j]! * found[(b * order + j) * columns + c]!
          }
          found[(b * order + i) * columns + c] = rest / matrix!.values[(b * order + i) * order + i]!
        }
      }
    }
    return [found]
  }

export const solveLowerReference = reference(true)
export const solveUpperReference = reference(false)
