import { type StorageName, storages } from '../../storage/storage.ts'
import type { FunctionBuilder } from './assembler.ts'

/** How kernels read and write the elements of a storage: as float32, one by one or four at a time. */
export interface Codec {
  readonly bytesPerElement: number
  /** Reads four elements from `element` elements behind the address on the stack. */
  loadVector(f: FunctionBuilder, element: number): void
  /** Reads the element at the address on the stack. */
  loadSingle(f: FunctionBuilder): void
  /** Writes four elements from `element` elements behind the address on the stack, under the vector. */
  storeVector(f: FunctionBuilder, element: number): void
  /** Writes one element at the address on the stack, under the number. */
  storeSingle(f: FunctionBuilder): void
}

const { bytesPerElement } = storages.float32

export const codecs: Readonly<Record<StorageName, Codec>> = {
  float32: {
    bytesPerElement,
    loadVector: (f, element) => f.at('v128.load', bytesPerElement * element),
    loadSingle: (f) => f.at('f32.load'),
    storeVector: (f, element) => f.at('v128.store', bytesPerElement * element),
    storeSingle: (f) => f.at('f32.store'),
  },
}
