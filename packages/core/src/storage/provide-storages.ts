import { StagedMemoryLayout, unitOf, wordsFor } from '../backends/wasm/staged-memory.ts'
import { tableOf } from '../backends/wasm/staged-tables.ts'
import type { StagedKernels } from '../backends/wasm/staging.ts'
import { codecs, multiply, startBytes } from './codecs.ts'
import { keptParameters } from './kept-parameters.ts'
import { provide } from './provided.ts'
import { sizeInBytes } from './storage.ts'

/**
 * Brings in what state needs that is kept otherwise than in float32. `quantized` does so, and what `build` writes for such an
 * optimizer.
 * @param kernels what generates kernels, where that is wanted.
 */
export function provideStorages(kernels?: StagedKernels): void {
  const memory = (...given: ConstructorParameters<typeof StagedMemoryLayout>) => new StagedMemoryLayout(...given)
  const generating = kernels ? { kernels } : {}
  provide({
    bytesOf: sizeInBytes,
    codecs,
    start: startBytes,
    multiply,
    words: wordsFor,
    memory,
    table: tableOf,
    unit: unitOf,
    parameters: keptParameters,
    ...generating,
  })
}
