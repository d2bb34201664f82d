/** What kernels must be given for storages that they read and write by way of a float32 copy of a few elements. */

import type { Loop, Plan, Sizes } from '../../plan/plan.ts'
import type { StagedStorage, StorageName } from '../../storage/storage.ts'
import type { FunctionBuilder } from './assembler.ts'
import type { LoopGenerator } from './loop.ts'
import type { MemoryLayout } from './memory.ts'

/** What words of an entry hold for a loop over arrays that are not in float32. */
export type StagedWord = { readonly kind: 'staged' } & (
  | {
      /** Where the float32 copies of the first thread lie, bytes of those of a thread, and of each. */
      readonly what: 'copies'
    }
  | {
      /** Where the elements of an array lie, or what belongs to them. */
      readonly what: 'elements' | 'others'
      readonly array: number
    }
  | {
      /** Where what reading and writing looks up lies. */
      readonly what: 'table'
      readonly storage: StorageName
    }
)

/** What storages other than float32 need in a memory: their tables, and room for copies. */
export interface StagedMemory {
  /** Notes what a word of an entry at an address is to hold. */
  place(word: StagedWord, address: number, plan: Plan, sizes: Sizes, addresses: readonly number[]): void
  /** Reserves the room for copies, when all words are known. */
  reserve(threads: number): void
  /** Writes the tables. */
  fill(memory: Int32Array): void
}

/** What brings in the storages other than float32: see `provided`. */
export interface StagedKernels {
  readonly LoopGenerator: typeof LoopGenerator
  /** The function `(others, elements, from, to, copy, table)` that reads the elements `[from, to)` into a copy. */
  decode(storage: StagedStorage): FunctionBuilder
  /** The function that writes them, of which `from` begins a block; where rounding is random, seed, step and tensor come last. */
  encode(storage: StagedStorage): FunctionBuilder
  /** The words that a loop needs. */
  words(plan: Plan, loop: Loop): readonly StagedWord[]
  /** @param words takes what a memory is to hold at addresses. */
  memory(layout: MemoryLayout, words: { address: number; value: number }[]): StagedMemory
  /** How many rows, or batches where these are not 1, a slice must have at least so that all slices begin with a block. */
  unit(batch: number, rows: number, columns: number): { readonly rows: number; readonly batches: number }
}

/** Room behind arrays and copies, so that sixteen elements can be read and written where fewer are left. */
export const room = 64
