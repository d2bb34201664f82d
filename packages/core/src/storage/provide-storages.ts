import { stagedKernels } from '../backends/wasm/staged-kernels.ts'
import { wordsFor } from '../backends/wasm/staged-memory.ts'
import { codecs, multiply, startBytes } from './codecs.ts'
import { provide } from './provided.ts'
import { sizeInBytes } from './storage.ts'

/** Brings in what reads and writes the storages beside float32; called by what keeps state in them. */
export function provideStorages(): void {
  provide({ bytesOf: sizeInBytes, codecs, start: startBytes, multiply, words: wordsFor, kernels: stagedKernels })
}
