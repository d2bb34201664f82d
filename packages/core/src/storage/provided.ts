import type { MemoryLayout } from '../backends/wasm/memory.ts'
import type { StagedMemory, StagedWord } from '../backends/wasm/staged-word.ts'
import type { Loop, Plan } from '../plan/plan.ts'
import type { SlotStorage } from '../program/program.ts'
import type { Codec, multiply } from './codecs.ts'
import type { StagedStorage, StorageName } from './storage.ts'

/** What there is to do with parameters that are not in float32. */
export interface KeptParameters {
  /** Gives one other values, rounded to the nearest. */
  readonly write: (
    memory: {
      readonly slotBytes?: (tensor: number, key: string) => Uint8Array
      parameterStorage(tensor: number): StagedStorage | undefined
    },
    tensor: number,
    values: ArrayLike<number>,
  ) => void
  /** Stands in for a view: says what to use when asked for it. */
  readonly hide: (views: object, name: string, storage: StagedStorage) => void
  /** Why what needs all parameters in float32 does nothing. */
  readonly refused: (name: string, storage: StagedStorage, instead: string) => string
  readonly pointsRefused: string
}

/** What reads and writes the storages beside float32. */
export interface Provision {
  /** Bytes of an array of so many elements. */
  readonly bytesOf: (storage: StagedStorage, elements: number) => number
  readonly codecs: Readonly<Record<StagedStorage, Codec>>
  /** The bytes that state begins with. */
  readonly start: (slot: SlotStorage) => Uint8Array
  /** Makes numbers of shares of the smaller of a number for the row and one for the column. */
  readonly multiply: typeof multiply
  /** What the entry of a kernel holds for a loop over arrays in other storages. */
  readonly words: (plan: Plan, loop: Loop) => readonly StagedWord[]
  /** @param words takes what a memory is to hold at addresses. */
  readonly memory: (layout: MemoryLayout, words: { address: number; value: number }[]) => StagedMemory
  /** What kernels look up when they read and write a storage, in words. */
  readonly table: (storage: StorageName) => Int32Array
  /** How many rows, or batches where these are not 1, a slice must have at least so that all slices begin with a block. */
  readonly unit: (batch: number, rows: number, columns: number) => { readonly rows: number; readonly batches: number }
  readonly parameters: KeptParameters
  /** What generates kernels, see `stagedKernels`: absent where they were built ahead of time. */
  readonly kernels?: object
}

let provision: Provision | undefined

/** Called by what has state kept otherwise than in float32: so that nothing else loads what reads and writes it. */
export function provide(given: Provision): void {
  provision = { ...provision, ...given }
}

/** @throws Error when state of that kind was never asked for. */
export function provided(): Provision {
  if (!provision) throw new Error('state that is not in float32 needs provideStorages() to be called first')
  return provision
}

/** Bytes of an array of so many elements. */
export function bytesOf(storage: StorageName, elements: number): number {
  return storage === 'float32' ? 4 * elements : provided().bytesOf(storage, elements)
}
