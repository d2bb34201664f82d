import { decodeFunction, encodeFunction } from './staged.ts'
import { StagedLoopGenerator } from './staged-loop.ts'
import { StagedMemoryLayout, unitOf } from './staged-memory.ts'
import type { StagedKernels } from './staging.ts'

/** How kernels work on storages other than float32. */
export const stagedKernels: StagedKernels = {
  LoopGenerator: StagedLoopGenerator,
  decode: decodeFunction,
  encode: encodeFunction,
  memory: (layout, words) => new StagedMemoryLayout(layout, words),
  unit: unitOf,
}
