/** What kernels know of storages that they read and write by way of a float32 copy of a few elements. */

import type { Loop, Plan } from '../../plan/plan.ts'
import type { StagedStorage, StorageName } from '../../storage/storage.ts'
import type { FunctionBuilder } from './assembler.ts'

/** What brings in the storages other than float32: see `provided`. */
export interface StagedKernels {
  /** The function `(first, elements, from, to, copy, table)` that reads the elements `[from, to)` into a copy. */
  decode(storage: StagedStorage): FunctionBuilder
  /** The function that writes them, of which `from` begins a block; where rounding is random, seed, step and tensor come last. */
  encode(storage: StagedStorage): FunctionBuilder
  /** What these look up, in words. */
  table(storage: StorageName): Int32Array
}

export const decodeName = (storage: StorageName): string => `decode_${storage}`
export const encodeName = (storage: StorageName): string => `encode_${storage}`

/** Elements that a flat loop decodes, computes and encodes before it goes on: few enough for the nearest cache. */
export const segmentElements = 1024

/** What all blocks divide: where the copy of a loop that follows rows may begin. */
export const alignedElements = 256

/** Room behind arrays and copies, so that sixteen elements can be read and written where fewer are left. */
export const room = 64

/** The arrays that a loop works on by way of a copy, in the order of their copies. */
export function stagedArrays(plan: Plan, { body, stores }: Loop): number[] {
  const used = [...body, ...stores].flatMap((use) => ('array' in use ? [use.array] : []))
  return [...new Set(used)].filter((array) => array >= 0 && plan.arrays[array]!.storage !== 'float32')
}
