import type { KernelSet } from '../backends/wasm/kernels.ts'
import type { Plan, Sizes } from '../plan/plan.ts'
import type { HostProgram } from '../program/host.ts'
import type { HyperOwner } from '../program/hyper-store.ts'
import type { RunModel } from '../program/model.ts'
import type { Firing, HostUpdate, Leaves, SlotStorage } from '../program/program.ts'

/** @internal what `start` must be given; another number is another form */
export const builtVersion = 2

/** Which program runs, by its place in `BuiltOptimizer.programs`. */
export type BuiltTree =
  | number
  | {
      readonly clock: string
      readonly fires: Firing
      readonly count: number | string
      readonly opens?: string
      readonly held: BuiltTree
      readonly fired: BuiltTree
    }

/** A program without its graph. */
export interface BuiltProgram {
  /** The place of its plan. */
  readonly plan: number
  /** What the sizes of the plan stand for. */
  readonly sizes: Sizes
  /** The numbers that the plan takes. */
  readonly computation: HostProgram
  readonly host: HostUpdate
  readonly leaves: Leaves
}

/** A parameter and its programs, by their places. */
export interface BuiltParameter {
  readonly name: string
  readonly shape: readonly number[]
  /** Of one that was joined from several. */
  readonly parts?: readonly { readonly name: string; readonly shape: readonly number[] }[]
  /** Absent for a frozen parameter. */
  readonly traced?: {
    readonly slots: readonly SlotStorage[]
    readonly evaluations: readonly { readonly point?: number; readonly wants: readonly ('gradient' | 'loss')[] }[]
    readonly origin?: number
    readonly variants: BuiltTree
    readonly average?: number
  }
}

/** A schedule by its place in the list of those that `start` is given, or a number. */
export type BuiltValue = number | { readonly schedule: number }

/**
 * An optimizer for the parameters of one model, made ready ahead of time: kernels, plans and what the host computes, as plain
 * data that JSON can hold.
 */
export interface BuiltOptimizer {
  readonly version: typeof builtVersion
  readonly parameters: readonly BuiltParameter[]
  readonly programs: readonly BuiltProgram[]
  readonly plans: readonly Plan[]
  /** The bytes of the WebAssembly module, each a character: this compresses better than base64 and is read faster. */
  readonly kernels: string
  /** Where the module has the kernels of every plan: of its loops, and of its stages by their places. */
  readonly tables: readonly {
    readonly loops: readonly number[]
    readonly stages: readonly (readonly [stage: number, kernel: number])[]
  }[]
  readonly library: KernelSet['library']
  readonly owners: readonly HyperOwner[]
  /** The hyperparameters of every group, by path. */
  readonly hyper: readonly {
    readonly path: string
    readonly owner: number
    readonly values: Readonly<Record<string, BuiltValue>>
    readonly parent?: string
    readonly main?: string
  }[]
  readonly groups: Readonly<Record<string, readonly string[]>>
  /** Which hyperparameters were 0 when it was built. */
  readonly facts: Readonly<Record<string, boolean>>
  /** What checkpoints call the optimizer, and what they call it without the wrappers that have no state. */
  readonly signature: string
  readonly statefulSignature: string
  readonly wrappers: RunModel['wrappers']
  readonly telemetry: boolean
}

/** As JSON, which knows no infinities and no minus zero. */
export function encodeBuilt(optimizer: BuiltOptimizer): string {
  const plain = (_: string, value: unknown) =>
    typeof value !== 'number' || (Number.isFinite(value) && !Object.is(value, -0))
      ? value
      : { number: Object.is(value, -0) ? '-0' : String(value) }
  return JSON.stringify(optimizer, plain)
}

/** What `encodeBuilt` made. */
export function decodeBuilt(text: string): BuiltOptimizer {
  const special = (_: string, value: unknown) => {
    const number = (value as { number?: unknown } | null)?.number
    return typeof number === 'string' ? Number(number) : value
  }
  return JSON.parse(text, special)
}
