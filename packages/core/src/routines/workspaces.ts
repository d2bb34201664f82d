import type { Dimensions } from '../graph/dimensions.ts'
import type { RoutineName } from './table.ts'

const none = () => 0
const ofSolution = ([, right]: readonly Dimensions[]) => right![1] * right![2]

/**
 * How many float64 each matrix function needs to work with for one matrix of a batch, besides operands and results. What a backend
 * packs for its caches is its own affair.
 */
export const workspaces: Readonly<Record<RoutineName, (operands: readonly Dimensions[], asked: Dimensions) => number>> =
  {
    cholesky: ([operand]) => operand![1] ** 2,
    eigen: ([operand]) => eigen(operand![1]),
    gather: none,
    gram: none,
    // A word for each place.
    largestPlaces: (_, [, , count]) => Math.ceil(count / 2),
    orthonormalization: ([operand]) => (operand![1] + 1) * operand![2],
    product: none,
    householder: ([operand]) => reflections(operand!),
    qr: ([operand]) => reflections(operand!),
    resized: none,
    reversal: none,
    scatter: none,
    solveLower: ofSolution,
    solveUpper: ofSolution,
    svd([operand]) {
      const [, rows, columns] = operand!
      return eigen(Math.min(rows, columns)) + 2 * rows * columns
    },
    symmetricProduct: none,
    transposition: none,
  }

/** The columns, those of Q, and two numbers for each reflection. */
function reflections([, rows, columns]: Dimensions): number {
  const rank = Math.min(rows, columns)
  return rows * (columns + rank) + 2 * rank
}

/** The matrix, its vectors, and four rows. */
const eigen = (order: number) => 2 * order * order + 4 * order
