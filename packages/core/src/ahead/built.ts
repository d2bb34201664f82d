import type { LibraryIndices } from '../backends/wasm/kernels.ts'
import type { LaidOut, PreparedProgram } from '../backends/wasm/prepared.ts'
import type { HyperRange } from '../language/hyperparameters.ts'
import type { HostEnvironment } from '../program/host.ts'
import type { HyperOwner } from '../program/hyper-store.ts'
import type { RunModel } from '../program/model.ts'
import type { Firing, Leaves, SlotStorage } from '../program/program.ts'

/** @internal what `start` must be given; another number is another form */
export const builtVersion = 4

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

/** What `hostCode` writes. */
export type BuiltNumbers = (environment: HostEnvironment) => readonly number[]

/** A program without its graph, its plan and its sizes: the kernels stand for them. */
export interface BuiltProgram {
  /** The numbers that its kernels take. */
  readonly numbers: BuiltNumbers
  /** The keys of slots that the host keeps, where there are any, and their new values. */
  readonly host?: { readonly keys: readonly string[]; readonly numbers: BuiltNumbers }
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
  /** Where the arrays of the tensor begin, and what its kernels are called with: most addresses are counted from there. */
  readonly origins: Origins
  /** The addresses of the parameter, of its gradient, of what to evaluate with, and of the entry of the check for finite numbers. */
  readonly addresses: readonly number[]
  /** The addresses of its slots in their order, 0 for what the host keeps. */
  readonly slots: readonly number[]
  /** The entries of the kernel that settles the parameter and its slots that are in float32. */
  readonly settling: readonly number[]
  /** The addresses and sizes of arrays that the user supplies, by name. */
  readonly inputs: Readonly<Record<string, readonly [address: number, size: number]>>
  /** What memory holds at first: an address, and the words from there on. */
  readonly words: readonly (readonly number[])[]
  /** What is run for each of its programs, by their places. */
  readonly runs: Readonly<Record<number, PreparedProgram>>
}

/** Two addresses of a tensor. */
export type Origins = readonly [arrays: number, calls: number]

/**
 * A number as tensors of one shape have it alike: below 0 when it is counted from where the arrays begin, with a half when from what
 * kernels are called with.
 * @param ends where arrays and calls end.
 */
export function countedFrom([arrays, calls]: Origins, ends: Origins, number: number): number {
  if (number >= calls && number < ends[1]) return number - calls + 0.5
  return number >= arrays && number < ends[0] ? arrays - 1 - number : number
}

/** The number that `countedFrom` made one of. */
export function countedOut([arrays, calls]: Origins, number: number): number {
  if (number < 0) return arrays - 1 - number
  return number % 1 === 0 ? number : calls + number - 0.5
}

/** What is run for a program, with other numbers for its addresses. */
export function relocated(run: PreparedProgram, change: (address: number) => number): PreparedProgram {
  return {
    entry: change(run.entry),
    hostArguments: change(run.hostArguments),
    stages: run.stages.map(({ items, totals, ...stage }) => ({
      ...stage,
      items: items.map((each) => ({ ...each, entry: change(each.entry) })),
      ...(totals ? { totals: totals.map((total) => ({ ...total, address: change(total.address) })) } : {}),
    })),
    telemetry: Object.fromEntries(Object.entries(run.telemetry).map(([name, address]) => [name, change(address)])),
  }
}

/** A schedule by its place in the list of those that `start` is given, or a number. */
export type BuiltValue = number | { readonly schedule: number }

/** What the owner of hyperparameters is where nothing else is said. */
export const usualOwner: Omit<HyperOwner, 'title' | 'hyper'> = { ordered: [], inputs: {}, evaluates: false }
export const usualRange: HyperRange = {
  minimum: 0,
  maximum: Number.POSITIVE_INFINITY,
  aboveMinimum: false,
  belowMaximum: false,
}

/** An optimizer or wrapper that hyperparameters belong to, without what is as usual. */
export type BuiltOwner = Partial<Omit<HyperOwner, 'hyper'>> & {
  readonly title: string
  readonly hyper: Readonly<Record<string, Partial<HyperRange>>>
}

/**
 * An optimizer for the parameters of one model, made ready ahead of time: kernels, where everything lies in memory and what is run as
 * plain data, and what the host computes as code.
 */
export interface BuiltOptimizer {
  readonly version: typeof builtVersion
  /** The bytes of the WebAssembly module: see `textOfBytes`. */
  readonly kernels: string
  readonly library: LibraryIndices
  /** Bytes of memory. */
  readonly bytes: number
  readonly tables: readonly (readonly [storage: SlotStorage['storage'], address: number])[]
  readonly regions: LaidOut['regions']
  readonly totals: Readonly<Record<string, number>>
  readonly parameters: readonly BuiltParameter[]
  readonly programs: readonly BuiltProgram[]
  readonly owners: readonly BuiltOwner[]
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

/** What bytes are moved by so that the most frequent ones are characters of their own. */
const moved = 48

/**
 * Bytes as text that compresses as well as they do: most are one character, the others `~` and two digits. Base64 would hide
 * what repeats.
 */
export function textOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode((byte + moved) % 256)
    return /[ !#-[\]-}]/.test(character) ? character : `~${byte.toString(16).padStart(2, '0')}`
  }).join('')
}

/** What `textOfBytes` made text of. Engines that see it for the first time run this loop faster than a pattern with a callback. */
export function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length)
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 126) {
      bytes[count++] = Number.parseInt(text.slice(index + 1, index + 3), 16)
      index += 2
    } else bytes[count++] = code - moved
  }
  return bytes.subarray(0, count)
}
