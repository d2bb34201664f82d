import type { Dimensions } from '../graph/graph.ts'
import type { Layout } from './layout.ts'

/** The facts about a parameter that a rule may look at while it is traced. */
export interface ParameterShape {
  /** The name it was given. */
  readonly name: string
  /** Its dimensions, `[]` for a single number. */
  readonly shape: readonly number[]
  /** How many dimensions it has. */
  readonly rank: number
  /** How many elements it has. */
  readonly size: number
  /** Which of its dimensions are the outputs. */
  readonly layout: Layout
  /** How many outputs it has. A vector or a number counts as the weights of one output. */
  readonly outputs: number
  /** How many weights each output has. */
  readonly inputs: number
  /** Its dimensions in the order of `outputFirst`: output, input, then the rest, whatever the layout. */
  readonly outputFirst: readonly number[]
  /** The dimensions in which it is one matrix of outputs and inputs: `g.as(shape.matrix).mean('inputs')` is one mean per output. */
  readonly matrix: Dimensions
}

export type SlotKind = 'zeros' | 'copy' | 'rows' | 'columns' | 'outputs' | 'inputs' | 'shaped' | 'scalar' | 'shared'

/** One piece of state of an optimizer. */
export interface Slot {
  readonly kind: SlotKind
  /** `scalar` and `shared`: the first value. */
  readonly initial: number
  /** `shaped`: batch, rows and columns. */
  readonly dimensions?: (
    shape: ParameterShape,
    options: SlotFacts['options'],
  ) => readonly [batch: number, rows: number, columns: number]
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

type When = { readonly when?: (facts: SlotFacts) => boolean }

function slot(kind: SlotKind, initial: number, options: When = {}): Slot {
  return { kind, initial, ...options }
}

/** State shaped like the parameter that starts at zero. */
export function zeros(options?: When): Slot {
  return slot('zeros', 0, options)
}

/** State shaped like the parameter that starts as a copy of it, taken right before its first step. */
export function copyOfParameter(options?: When): Slot {
  return slot('copy', 0, options)
}

/** One number per row as stored (all dimensions but the last), starting at zero. */
export function rows(options?: When): Slot {
  return slot('rows', 0, options)
}

/** One number per column as stored (all dimensions but the last but one), starting at zero. */
export function columns(options?: When): Slot {
  return slot('columns', 0, options)
}

/** One number per output of the parameter, starting at zero; shaped like a sum over the `inputs` of `as(shape.matrix)`. */
export function perOutput(options?: When): Slot {
  return slot('outputs', 0, options)
}

/** One number per input of an output, starting at zero; shaped like a sum over the `outputs` of `as(shape.matrix)`. */
export function perInput(options?: When): Slot {
  return slot('inputs', 0, options)
}

/** State of dimensions `[batch, rows, columns]` of its own, for a parameter and the options, starting at zero. */
export function shaped(dimensions: NonNullable<Slot['dimensions']>, options?: When): Slot {
  return { ...slot('shaped', 0, options), dimensions }
}

/**
 * One number per tensor that starts at `initial`. Kept on the host, in float64, if only host values enter it, else as precisely as
 * the backend keeps numbers: in float64 on `wasm()` and `reference()`.
 */
export function scalar(initial: number, options?: When): Slot {
  return slot('scalar', initial, options)
}

/** One number that all tensors of this optimizer share, kept as `scalar` is. */
export function sharedScalar(initial: number, options?: When): Slot {
  return slot('shared', initial, options)
}
