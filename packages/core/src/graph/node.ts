/**
 * The nodes of a graph: what a rule computes, one value a node. An operation with attributes of its own is a member of
 * `Kind`, and everything that must know all operations (identity, interpreters, generators) fails to compile without it.
 */

import type { RoutineName } from '../routines/table.ts'
import type { StorageName } from '../storage/storage.ts'
import type { Dimensions } from './dimensions.ts'

export { type Dimensions, formatDimensions, sameDimensions, sizeOf } from './dimensions.ts'

/**
 * Where a value lives.
 * - `host`: known before the step, evaluated once per step in float64 (hyperparameters, bias corrections).
 * - `global`: one number for all tensors, known after a reduction over all of them.
 * - `tensor`: one number per parameter tensor, known after a reduction over it.
 * - `array`: many numbers, laid out as `[batch, rows, columns]`.
 */
export type Space = 'host' | 'global' | 'tensor' | 'array'

/** What a reduction runs over: the columns of each row, the rows of each column, the tensor, or all tensors. */
export type ReductionAxis = 'columns' | 'rows' | 'tensor' | 'all'

export type ReductionKind = 'sum' | 'maximum'

/** What random numbers are drawn from: N(0, 1), U(0, 1), or -1 and 1 alike. */
export type Distribution = 'normal' | 'uniform' | 'sign'

/** Operations that work on elements one by one, and on scalars. */
export const elementOperations = [
  'add',
  'subtract',
  'multiply',
  'divide',
  'maximum',
  'minimum',
  'absolute',
  'sign',
  'squareRoot',
  'select',
  'equal',
  'less',
  'lessOrEqual',
  'and',
  'not',
  'floor',
  'power',
  'exponential',
  'logarithm',
  'sigmoid',
  'tanh',
  'softplus',
  'cosine',
] as const

export type ElementOperation = (typeof elementOperations)[number]

/** An operation with what it needs to know besides its inputs. */
export type Kind =
  | { readonly operation: 'constant'; readonly value: number }
  /** The hyperparameter `key` at the count of `clock`. */
  | { readonly operation: 'hyper'; readonly key: string; readonly clock: string }
  /** The steps that `clock` has counted; '' counts calls of `step`. */
  | { readonly operation: 'count'; readonly clock: string }
  | { readonly operation: 'parameter' }
  | { readonly operation: 'gradient' }
  /** What the user hands in besides the gradient. */
  | { readonly operation: 'input'; readonly key: string }
  /** `storage`: how its elements are kept, where that is not float32. */
  | { readonly operation: 'slot'; readonly key: string; readonly storage?: StorageName }
  /** True for every how many-th element. */
  | { readonly operation: 'stride'; readonly period: number }
  /** 0, 1, 2, ... over all elements. */
  | { readonly operation: 'index' }
  /** Random numbers; `draw` tells the draws of a step apart. The inputs are seed, step and tensor. */
  | { readonly operation: 'random'; readonly distribution: Distribution; readonly draw: number }
  /** The same elements under other dimensions. */
  | { readonly operation: 'view' }
  /** `key`: the name under which the tensors meet in a reduction over all of them; '' for the others. Two inputs: of their product. */
  | {
      readonly operation: 'reduce'
      readonly reduction: ReductionKind
      readonly axis: ReductionAxis
      readonly key: string
    }
  /** The `result`-th array that a matrix function gives. */
  | { readonly operation: 'routine'; readonly routine: RoutineName; readonly result: number }
  /** `guard`: only what float32 cannot hold needs it; the float64 reference takes the first input instead. */
  | { readonly operation: ElementOperation; readonly guard?: boolean }

export type Operation = Kind['operation']

/** A node of one operation. */
export type NodeOf<O extends Operation> = Extract<Kind, { readonly operation: O }> & NodeFacts

/** What all nodes have. */
export interface NodeFacts {
  readonly id: number
  readonly inputs: readonly Node[]
  readonly space: Space
  readonly dimensions: Dimensions
  /** True when the value is a truth value. */
  readonly mask: boolean
  /** For host and global values: true when it may differ from tensor to tensor. */
  readonly perTensor: boolean
}

export type Node = Kind & NodeFacts

const elements: ReadonlySet<Operation> = new Set(elementOperations)

/** True for a node whose operation works on elements one by one. */
export function isElement(node: Node): node is NodeOf<ElementOperation> {
  return elements.has(node.operation)
}

/** What a node of this operation is besides its inputs and its shape, as text. */
function kindText(kind: Kind): string {
  switch (kind.operation) {
    case 'constant':
      // A template string does not tell -0 from 0.
      return Object.is(kind.value, -0) ? '-0' : String(kind.value)
    case 'hyper':
      return `${kind.key}@${kind.clock}`
    case 'count':
      return kind.clock
    case 'input':
      return kind.key
    case 'slot':
      return kind.storage ? `${kind.key}:${kind.storage}` : kind.key
    case 'stride':
      return String(kind.period)
    case 'random':
      return `${kind.distribution}:${kind.draw}`
    case 'reduce':
      return `${kind.reduction}:${kind.axis}:${kind.key}`
    case 'routine':
      return `${kind.routine}:${kind.result}`
    case 'parameter':
    case 'gradient':
    case 'index':
    case 'view':
      return ''
    default:
      // Every other operation is elementwise; one that is not fails to compile here.
      return elementText(kind)
  }
}

function elementText({ guard }: { readonly operation: ElementOperation; readonly guard?: boolean }): string {
  return guard ? 'guard' : ''
}

/**
 * What makes two nodes the same value: their operation with its attributes, where they live, and what they are made of.
 * A graph interns its nodes by it; programs that share a kernel share it with sizes and inputs named by their order.
 */
export function identity(
  kind: Kind,
  { inputs, space, dimensions, mask, perTensor }: Omit<NodeFacts, 'id'>,
  nameOf: (input: Node) => string | number,
  sizeName: (size: number) => string | number,
): string {
  return `${kind.operation}:${kindText(kind)}:${space}:${mask}:${perTensor}:${dimensions.map(sizeName)}(${inputs.map(nameOf)})`
}
