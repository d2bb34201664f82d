import type { BackendTensor } from '../backend.ts'
import { formsOf } from '../forms.ts'
import { everything } from './everything.ts'
import { multipliesAndAdds } from './fused.ts'
import { GatheringBuilder } from './gathering-builder.ts'
import type { ForeignInstance } from './instance.ts'
import { foreignKernelsFor } from './kernels.ts'
import { MemoryLayout } from './memory.ts'

/** @internal memory that belongs to someone else and may grow; it holds the parameters and the gradients */
export interface ForeignMemory {
  readonly memory: WebAssembly.Memory
  /** Gives the address of that many bytes. */
  allocate(bytes: number): number
  free(address: number): void
}

/**
 * @internal An instance for one thread inside a memory that belongs to someone else: state and tables lie in one block
 * that the memory's owner allocates, parameters and gradients where `place` says. Everything happens at once.
 */
export function createForeignInstance(tensors: readonly BackendTensor[], foreign: ForeignMemory): ForeignInstance {
  const { forms, programs } = formsOf(tensors)
  const shared = typeof SharedArrayBuffer === 'function' && foreign.memory.buffer instanceof SharedArrayBuffer
  const kernels = foreignKernelsFor(programs, shared, everything(multipliesAndAdds()))
  const build = (start: number) =>
    new GatheringBuilder({ tensors, forms, kernels, layout: new MemoryLayout(start), foreign: true })
  const bytes = build(0).measure() + foreignAlignment
  const block = foreign.allocate(bytes)
  return build(Math.ceil(block / foreignAlignment) * foreignAlignment).buildWithin(kernels.module, foreign.memory, () =>
    foreign.free(block),
  )
}

/** Blocks of foreign memory come with less alignment than a cache line. */
const foreignAlignment = 64
