import { decodeFunction, encodeFunction } from './staged.ts'
import { StagedLoopGenerator } from './staged-loop.ts'
import type { StagedKernels } from './staging.ts'

/** How kernels for storages other than float32 are generated. */
export const stagedKernels: StagedKernels = {
  LoopGenerator: StagedLoopGenerator,
  decode: decodeFunction,
  encode: encodeFunction,
}
