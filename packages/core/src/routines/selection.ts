import { type Dimensions, formatDimensions, sameDimensions, sizeOf } from '../graph/dimensions.ts'
import type { Routine, RoutineReference } from './routine.ts'

/** The longest row whose places float32 tells apart. */
const longestRow = 2 ** 24

function refuseLongRows(routine: string, [, , columns]: Dimensions): void {
  if (columns <= longestRow) return
  throw new Error(
    `${routine}: a row of ${columns} elements has places that float32 cannot count; at most ${longestRow}`,
  )
}

const sameRows = (a: Dimensions, b: Dimensions): boolean => a[0] === b[0] && a[1] === b[1]

/**
 * The places in each row, from 0, of the elements that are largest in size, as many as the result has columns: the largest first, and of
 * equal ones that with the lower place. What is not a number counts as infinite.
 */
export const largestPlaces: Routine = {
  title: 'places of the largest',
  sized: true,
  results([operand], asked) {
    refuseLongRows('largestPlaces', operand!)
    if (!sameRows(operand!, asked) || asked[2] > operand![2]) {
      throw new Error(
        `largestPlaces: ${formatDimensions(operand!)} (batch, rows, columns) has no ${asked[2]} places for each of ` +
          `${asked[0]} by ${asked[1]} rows; ask for at most ${operand![2]} columns and for the same rows`,
      )
    }
    return [asked]
  },
  // A comparison for each element, and for those that enter one for each level of a heap.
  operations: ([operand], asked) => sizeOf(operand!) + 2 * sizeOf(asked) * Math.ceil(Math.log2(asked[2] + 1)),
}

export const largestPlacesReference: RoutineReference = ([operand], [batch, rows, count]) => {
  const columns = operand!.dimensions[2]
  const places = new Float64Array(batch * rows * count)
  for (let row = 0; row < batch * rows; row++) {
    const sizes = operand!.values
      .subarray(row * columns, (row + 1) * columns)
      .map((value) => (Number.isNaN(value) ? Number.POSITIVE_INFINITY : Math.abs(value)))
    const order = Array.from(sizes.keys()).sort((a, b) => (sizes[a] === sizes[b] ? a - b : sizes[b]! - sizes[a]!))
    places.set(order.slice(0, count), row * count)
  }
  return [places]
}

/** The elements of each row of the first operand at the places that the second has for the row; 0 where the row has no such place. */
export const gather: Routine = {
  title: 'elements at places',
  results([operand, places]) {
    refuseLongRows('gather', operand!)
    if (!sameRows(operand!, places!)) {
      throw new Error(
        `gather: ${formatDimensions(operand!)} at places ${formatDimensions(places!)} (batch, rows, columns): ` +
          'both must have the same rows',
      )
    }
    return [places!]
  },
  operations: ([, places]) => sizeOf(places!),
}

export const gatherReference: RoutineReference = ([operand, places]) => {
  const [, , columns] = operand!.dimensions
  const [, , count] = places!.dimensions
  return [
    places!.values.map((place, index) =>
      place >= 0 && place < columns ? operand!.values[Math.floor(index / count) * columns + Math.trunc(place)]! : 0,
    ),
  ]
}

/**
 * Rows of zeros with the elements of the first operand added at the places that the second has for the row; what has no place in a row is
 * left out.
 */
export const scatter: Routine = {
  title: 'rows with elements at places',
  sized: true,
  results([values, places], asked) {
    refuseLongRows('scatter', asked)
    if (!sameDimensions(values!, places!) || !sameRows(values!, asked)) {
      throw new Error(
        `scatter: ${formatDimensions(values!)} at places ${formatDimensions(places!)} of ${formatDimensions(asked)} ` +
          '(batch, rows, columns): there must be a place for each element, and all must have the same rows',
      )
    }
    return [asked]
  },
  operations: ([values], asked) => sizeOf(asked) + sizeOf(values!),
}

export const scatterReference: RoutineReference = ([values, places], asked) => {
  const [, , columns] = asked
  const [, , count] = places!.dimensions
  const rows = new Float64Array(sizeOf(asked))
  places!.values.forEach((place, index) => {
    if (place >= 0 && place < columns)
      rows[Math.floor(index / count) * columns + Math.trunc(place)]! += values!.values[index]!
  })
  return [rows]
}

/** The same numbers in their order under other dimensions: what is too many is left out, and zeros fill what is left. */
export const resized: Routine = {
  title: 'elements under other dimensions',
  sized: true,
  results: (_, asked) => [asked],
  operations: (_, asked) => sizeOf(asked),
}

export const resizedReference: RoutineReference = ([operand], asked) => {
  const values = new Float64Array(sizeOf(asked))
  values.set(operand!.values.subarray(0, values.length))
  return [values]
}
