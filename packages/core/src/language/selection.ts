import type { Dimensions } from '../graph/node.ts'
import { type RoutineName, routineOf } from '../routines/table.ts'
import { Value } from './value.ts'

/**
 * The places in each row, counted from 0, of the `count` elements that are largest in size: the largest first, and of equal ones that with
 * the lower place. What is not a number counts as infinite. About one operation for each element, by a heap.
 * @throws Error when a row has fewer elements, or more than 2²⁴, whose places float32 cannot count.
 */
export function largestPlaces(x: Value, count: number): Value {
  return call('largestPlaces', [x], [x.batch, x.rows, count])
}

/**
 * The elements of each row of `x` at the places that `places` has for this row; 0 where the row has no such place.
 * @throws Error when both do not have the same rows, or these have more than 2²⁴ elements.
 */
export function gather(x: Value, places: Value): Value {
  return call('gather', [x, places], places.node.dimensions)
}

/**
 * Rows of `columns` zeros with the elements of each row of `x` added at the places that `places` has for them; what has no place in a row is
 * left out.
 * @throws Error when there is not one place for each element, or `columns` is more than 2²⁴.
 */
export function scatter(x: Value, places: Value, columns: number): Value {
  return call('scatter', [x, places], [x.batch, x.rows, columns])
}

/** The numbers of `x` in their order under dimensions `[batch, rows, columns]` of any size: the rest is left out, or filled with zeros. */
export function resized(x: Value, dimensions: Dimensions): Value {
  return call('resized', [x], dimensions)
}

function call(routine: RoutineName, operands: readonly Value[], asked: Dimensions): Value {
  const { graph, nameReduction } = operands[0]!
  const nodes = operands.map(({ node }) => node)
  return new Value(graph, graph.routine(routine, routineOf(routine), nodes, routine, asked)[0]!, nameReduction)
}
