import type { Dimensions } from '../graph/node.ts'
import type { StorageName } from '../storage/storage.ts'
import type { ParameterShape } from './layout.ts'

export type { ParameterShape } from './layout.ts'

/**
 * How far a piece of state extends: an element for each of the parameter, one per row, one per column, one per output, one per
 * input of an output, one number, or an array of `[batch, rows, columns]` of its own.
 */
export type SlotExtent =
  | 'elements'
  | 'rows'
  | 'columns'
  | 'outputs'
  | 'inputs'
  | 'number'
  | ((shape: ParameterShape, options: SlotFacts['options']) => Dimensions)

/** What a piece of state starts with: a number everywhere, the parameter right before its first step, or the identity. */
export type SlotStart = number | 'parameter' | 'identity'

/** One piece of state of an optimizer. */
export interface Slot {
  readonly extent: SlotExtent
  readonly start: SlotStart
  /** Whether each tensor has its own, or all of an optimizer's tensors share one number. */
  readonly scope: 'tensor' | 'allTensors'
  /** True for what stays in float32 when state is kept in fewer bits: what rounding would spoil. */
  readonly exact?: boolean
  /** True for what is never below 0, where the rule's arithmetic does not show it: fewer bits then need no sign. */
  readonly nonNegative?: boolean
  /** How its elements are kept, where that is not float32 and the backend has other storages: exactly what the rule computes. */
  readonly storage?: StorageName
  /** When given, the slot exists only for parameters and options for which this holds. */
  readonly when?: (facts: SlotFacts) => boolean
}

/** What decides at trace time whether a slot exists. */
export interface SlotFacts {
  readonly shape: ParameterShape
  readonly options: Readonly<Record<string, boolean | string | number>>
  /** True when the hyperparameter was set to the number 0 when the optimizer was made. */
  readonly disabled: (name: string) => boolean
}

/** What can be said of any slot, each on its own. */
export type SlotOptions = Partial<Pick<Slot, 'start' | 'exact' | 'nonNegative' | 'when'>>

function slot(extent: SlotExtent, options: SlotOptions = {}, scope: Slot['scope'] = 'tensor'): Slot {
  return { extent, start: 0, scope, ...options }
}

/** State shaped like the parameter that starts at zero, unless `start` says otherwise. */
export function zeros(options?: SlotOptions): Slot {
  return slot('elements', options)
}

/** State shaped like the parameter that starts as a copy of it, taken right before its first step. */
export function copyOfParameter(options?: SlotOptions): Slot {
  return slot('elements', { start: 'parameter', ...options })
}

/** One number per row as stored (all dimensions but the last), starting at zero. */
export function rows(options?: SlotOptions): Slot {
  return slot('rows', options)
}

/** One number per column as stored (all dimensions but the last but one), starting at zero. */
export function columns(options?: SlotOptions): Slot {
  return slot('columns', options)
}

/** One number per output of the parameter, starting at zero; shaped like a sum over the `inputs` of `as(shape.matrix)`. */
export function perOutput(options?: SlotOptions): Slot {
  return slot('outputs', options)
}

/** One number per input of an output, starting at zero; shaped like a sum over the `outputs` of `as(shape.matrix)`. */
export function perInput(options?: SlotOptions): Slot {
  return slot('inputs', options)
}

/** State of dimensions `[batch, rows, columns]` of its own, for a parameter and the options, starting at zero. */
export function shaped(dimensions: Exclude<SlotExtent, string>, options?: SlotOptions): Slot {
  return slot(dimensions, options)
}

/**
 * One number per tensor that starts at `initial`. Kept on the host, in float64, if only host values enter it, else as precisely as
 * the backend keeps numbers: in float64 on `wasm()` and `reference()`.
 */
export function scalar(initial: number, options?: SlotOptions): Slot {
  return slot('number', { start: initial, ...options })
}

/** One number that all tensors of this optimizer share, kept as `scalar` is. */
export function sharedScalar(initial: number, options?: SlotOptions): Slot {
  return slot('number', { start: initial, ...options }, 'allTensors')
}
