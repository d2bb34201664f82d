/** What kernels must be given for storages that they read and write by way of a float32 copy of a few elements. */

import { provided } from '../../storage/provided.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import type { FunctionBuilder } from './assembler.ts'
import type { GatheringLoopGenerator } from './gathering-loop.ts'

/** What brings in the storages other than float32: see `provided`. */
export interface StagedKernels {
  readonly LoopGenerator: typeof GatheringLoopGenerator
  /** The function `(others, elements, from, to, copy, table)` that reads the elements `[from, to)` into a copy. */
  decode(storage: StagedStorage): FunctionBuilder
  /** The function that writes them, of which `from` begins a block; where rounding is random, seed, step and tensor come last. */
  encode(storage: StagedStorage): FunctionBuilder
}

/** Room behind arrays and copies, so that sixteen elements can be read and written where fewer are left. */
export const room = 64

/** @throws Error when kernels for storages other than float32 cannot be generated here. */
export function stagedKernels(): StagedKernels {
  const { kernels } = provided()
  if (!kernels) throw new Error('state that is not in float32 needs quantized(...) to be called first')
  return kernels as StagedKernels
}
