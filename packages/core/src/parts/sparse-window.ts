import type { Dimensions } from '../graph/node.ts'
import { gather, largestPlaces, scatter } from '../language/selection.ts'
import { type ParameterShape, type SlotFacts, shaped, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { exchanged } from './gradient-window.ts'

/** A row for each gradient of a window, and what is kept of it: one in `keptPerThousand` of 1000 elements, at least one. */
function windowDimensions({ size }: Pick<ParameterShape, 'size'>, options: SlotFacts['options']): Dimensions {
  const kept = Math.floor((size * (options.keptPerThousand as number)) / 1000)
  return [1, options.window as number, Math.min(size, Math.max(1, kept))]
}

/** State of a window of sparse gradients: places and values of its rows, their inner products, and what was left out. */
export const sparseWindowSlots = {
  places: shaped(windowDimensions),
  values: shaped(windowDimensions),
  products: shaped((_, { window }) => [1, window as number, window as number]),
  error: zeros(),
}

/** A window whose newest row holds the largest elements of what was left out so far and a gradient. */
export interface SparseWindow {
  /** The new state. */
  readonly state: { readonly places: Value; readonly values: Value; readonly products: Value; readonly error: Value }
  /** The newest row, whole, shaped like the gradient. */
  readonly newestRow: Value
  /** The sum of the rows, each times its share of a column, shaped like the gradient. */
  readonly combined: (shares: Value) => Value
}

/** Puts what of the error and `g` is largest in size into row `newest`, and the rest into the error (error feedback). */
export function keptInWindow(
  state: SparseWindow['state'],
  g: Value,
  newest: Value,
  { shape, options }: { readonly shape: ParameterShape; readonly options: SlotFacts['options'] },
): SparseWindow {
  const window = windowDimensions(shape, options)
  const accumulated = state.error.plus(g).as([1, 1, shape.size])
  const places = largestPlaces(accumulated, window[2])
  const values = gather(accumulated, places)
  const s = scatter(values, places, shape.size)
  const isNewest = state.values.rowIndex().equals(newest)
  const allPlaces = where(isNewest, places, state.places)
  const allValues = where(isNewest, values, state.values)
  const flat: Dimensions = [1, 1, window[1] * window[2]]
  const withNewest = gather(s, allPlaces.as(flat)).as(window).times(allValues).sum('columns')
  const products = exchanged(state.products, withNewest, newest)
  return {
    state: { places: allPlaces, values: allValues, products, error: accumulated.minus(s) },
    newestRow: s.as(g),
    combined: (shares) => scatter(allValues.times(shares).as(flat), allPlaces.as(flat), shape.size).as(g),
  }
}
