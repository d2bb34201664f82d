import { type Dimensions, formatDimensions } from '../graph/dimensions.ts'

/**
 * The dimensions of square matrices.
 * @throws Error for others.
 */
export function square(routine: string, dimensions: Dimensions): Dimensions {
  const [, rows, columns] = dimensions
  if (rows !== columns) {
    throw new Error(
      `${routine}: ${formatDimensions(dimensions)} (batch, rows, columns): a matrix must have as many rows as columns`,
    )
  }
  return dimensions
}

/** 1 or -1: the sign of the first of the largest numbers of a vector. */
export function orientation(vector: Float64Array): number {
  let largest = 0
  for (const value of vector) if (Math.abs(value) > Math.abs(largest)) largest = value
  return largest < 0 ? -1 : 1
}
