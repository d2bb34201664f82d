/**
 * A Plan: how one update runs, as plain data. It holds no nodes and no sizes, so one plan serves all programs of one form,
 * can be written to JSON and read back, and says everything a backend needs: arrays, loops, matrix functions, scalars, and
 * the order in which they happen.
 */

import type { Distribution, ElementOperation, ReductionKind } from '../graph/node.ts'
import type { TelemetryName } from '../program/program.ts'
import type { RoutineName } from '../routines/table.ts'
import type { StorageName } from '../storage/storage.ts'

/** A size: 0 and 1 are themselves, every other number is the place of the size in the list of the program that runs. */
export type Size = number

export type Extent = readonly [batch: Size, rows: Size, columns: Size]

/** What an array is. */
export type ArraySource =
  | { readonly kind: 'parameter' }
  | { readonly kind: 'gradient' }
  | { readonly kind: 'average' }
  | { readonly kind: 'input'; readonly key: string }
  | { readonly kind: 'slot'; readonly key: string }
  /** Exists only within a step, and is needed from one level to another. */
  | { readonly kind: 'scratch'; readonly from: number; readonly to: number }

/** An array that the plan reads or writes; everything else names it by its place in `Plan.arrays`. */
export type PlannedArray = ArraySource & { readonly extent: Extent; readonly storage: StorageName }

/** A number: an argument from the host, or a scalar of the plan, by its place in either list. */
export type NumberReference =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'scalar'; readonly index: number }

/** One operation of a loop's body. Its position in the body is its register; `inputs` are registers. */
export type Instruction =
  | { readonly operation: 'load'; readonly inputs: readonly []; readonly array: number }
  | {
      readonly operation: 'broadcast'
      readonly inputs: readonly []
      readonly array: number
      /** Whether it has an element of its own for each batch, row and column. */
      readonly own: { readonly batch: boolean; readonly row: boolean; readonly column: boolean }
      /** The rows and columns among which it repeats, where they are not those of the loop. */
      readonly apart?: { readonly rows: Size; readonly columns: Size }
    }
  | { readonly operation: 'scalar'; readonly inputs: readonly []; readonly value: NumberReference }
  | { readonly operation: 'stride'; readonly inputs: readonly []; readonly period: number }
  | { readonly operation: 'index'; readonly inputs: readonly [] }
  | {
      readonly operation: 'random'
      readonly inputs: readonly []
      readonly distribution: Distribution
      readonly draw: number
      /** Seed, step and tensor. */
      readonly stream: readonly [NumberReference, NumberReference, NumberReference]
    }
  /** A register times the product of some numbers over that of others. */
  | {
      readonly operation: 'scale'
      readonly inputs: readonly [number]
      readonly times: readonly NumberReference[]
      readonly over: readonly NumberReference[]
    }
  | { readonly operation: ElementOperation; readonly inputs: readonly number[] }

/** A reduction that a loop does: over everything, each row, or each column; of a register, or of the product of two. */
export type LoopReduction = { readonly reduction: ReductionKind; readonly registers: readonly number[] } & (
  | { readonly over: 'all'; readonly scalar: number }
  | { readonly over: 'row' | 'column'; readonly array: number }
)

/** One pass over elements. */
export interface Loop {
  readonly level: number
  readonly extent: Extent
  /** The rows and columns that it must follow; absent for a flat pass. A last dimension of 1 is dropped. */
  readonly view?: Extent
  /** True when it reads or writes an array that is not in float32. */
  readonly staged?: true
  /** True when an instruction needs the position of each element: no vectors then. */
  readonly elementwise: boolean
  readonly body: readonly Instruction[]
  readonly stores: readonly {
    readonly array: number
    readonly register: number
    /** Seed, step and tensor of the random numbers that rounding follows. */
    readonly stream?: readonly [NumberReference, NumberReference, NumberReference]
  }[]
  readonly reductions: readonly LoopReduction[]
}

/** A call of a matrix function. */
export interface RoutineCall {
  readonly level: number
  readonly routine: RoutineName
  readonly operands: readonly { readonly array: number; readonly extent: Extent }[]
  readonly results: readonly number[]
}

/** A number that is known only on the device. */
export type PlannedScalar = { readonly level: number; readonly mask: boolean } & (
  | { readonly kind: 'slot'; readonly key: string; readonly shared: boolean }
  /** What a loop's reduction over everything gives. */
  | { readonly kind: 'reduced'; readonly reduction: ReductionKind }
  /** The reduction over all tensors of what each of them gives. */
  | { readonly kind: 'total'; readonly key: string; readonly reduction: ReductionKind; readonly part: NumberReference }
  | { readonly kind: 'element'; readonly operation: ElementOperation; readonly inputs: readonly NumberReference[] }
)

/** Where a number goes at the end of the step. */
export type ScalarTarget =
  | { readonly kind: 'slot'; readonly key: string; readonly shared: boolean }
  | { readonly kind: 'telemetry'; readonly name: TelemetryName }

/**
 * What happens at one point of a step. A stage waits for the stages of its tensor before it; `totals` and a shared
 * `commit` wait for those of all tensors that run together, and all wait for them.
 */
export type Stage =
  /** Puts together what the parts of loops of the level before left, and computes scalars. */
  | {
      readonly kind: 'scalars'
      readonly level: number
      readonly reductions: readonly { readonly loop: number; readonly reduction: number }[]
      readonly scalars: readonly number[]
      /** True when totals of this level wait for it. */
      readonly beforeTotals: boolean
    }
  | { readonly kind: 'totals'; readonly level: number; readonly scalars: readonly number[] }
  | { readonly kind: 'loops'; readonly level: number; readonly loops: readonly number[] }
  | { readonly kind: 'routines'; readonly level: number; readonly routines: readonly number[] }
  /** Stores numbers kept as state, by their place in `scalarOutputs`. */
  | { readonly kind: 'commit'; readonly shared: boolean; readonly outputs: readonly number[] }

export interface Plan {
  readonly levels: number
  readonly arrays: readonly PlannedArray[]
  readonly loops: readonly Loop[]
  readonly routines: readonly RoutineCall[]
  /** In an order in which they can be computed. */
  readonly scalars: readonly PlannedScalar[]
  readonly scalarOutputs: readonly { readonly target: ScalarTarget; readonly value: NumberReference }[]
  /** The numbers that the host supplies, in their order. */
  readonly arguments: readonly { readonly mask: boolean }[]
  readonly stages: readonly Stage[]
}

/** Sizes of a program: what a `Size` stands for. */
export type Sizes = readonly number[]

/** The numbers that an extent stands for. */
export function dimensionsOf(extent: Extent, sizes: Sizes): [batch: number, rows: number, columns: number] {
  return [sizes[extent[0]]!, sizes[extent[1]]!, sizes[extent[2]]!]
}

/** How many elements an extent has. */
export function elementsOf(extent: Extent, sizes: Sizes): number {
  return sizes[extent[0]]! * sizes[extent[1]]! * sizes[extent[2]]!
}

/** True for a number that is a truth value. */
export function isMask(plan: Plan, { kind, index }: NumberReference): boolean {
  return (kind === 'argument' ? plan.arguments : plan.scalars)[index]!.mask
}
