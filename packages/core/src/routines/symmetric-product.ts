import { formatDimensions } from '../graph/dimensions.ts'
import { productReference } from './product.ts'
import { square } from './properties.ts'
import type { Routine, RoutineReference } from './routine.ts'

/**
 * The product of two symmetric matrices that commute, batch by batch: symmetric, so only half of it is computed. Powers and polynomials of the
 * same symmetric matrix are such.
 */
export const symmetricProduct: Routine = {
  title: 'symmetric product',
  results([left, right]) {
    square('symmetricProduct', left!)
    if (left!.join() !== right!.join()) {
      throw new Error(
        `symmetricProduct: ${formatDimensions(left!)} times ${formatDimensions(right!)} (batch, rows, columns): ` +
          'both must have the same dimensions',
      )
    }
    return [left!]
  },
  operations: ([left]) => left![0] * left![1] * (left![1] + 1) * left![1],
}

/** The mean of the product and its transpose, which are the same but for rounding. */
export const symmetricProductReference: RoutineReference = (operands, asked) => {
  const [product] = productReference(operands, asked)
  const [, order] = operands[0]!.dimensions
  return [
    product!.map((value, place) => {
      const row = Math.floor(place / order)
      const column = place % order
      const matrix = row - (row % order)
      return (value + product![(matrix + column) * order + (row % order)]!) / 2
    }),
  ]
}
