import type { Plan, Sizes } from '../../plan/plan.ts'
import type { StorageName } from '../../storage/storage.ts'

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
  /** Where the tables belong. */
  readonly tables: ReadonlyMap<StorageName, number>
}
