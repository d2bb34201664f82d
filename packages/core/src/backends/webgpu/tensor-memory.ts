import type { StagedStorage } from '../../storage/storage.ts'
import type { Placed } from './heaps.ts'

/** An array that is not kept in float32, among the words of bytes. */
export interface Packed {
  readonly storage: StagedStorage
  /** The first of its words. */
  readonly at: number
  /** How many elements it has. */
  readonly size: number
  readonly bytes: number
}

/** Where what belongs to a parameter lies on a device. */
export interface TensorMemory {
  readonly name: string
  readonly size: number
  /** Of no elements where it is kept otherwise than in float32, as the state `parameterSlot`. */
  readonly parameter: Placed
  readonly gradient: Placed
  readonly average: Placed | undefined
  readonly inputs: ReadonlyMap<string, Placed>
  /** State in float32, and other state. */
  readonly arrays: ReadonlyMap<string, Placed>
  readonly packed: ReadonlyMap<string, Packed>
  /** Places of numbers kept as state. */
  readonly numbers: ReadonlyMap<string, number>
  /** The word that says in which attempt its gradient was not finite. */
  readonly mark: number
}
