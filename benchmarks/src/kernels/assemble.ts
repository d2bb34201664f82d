import { MemoryLayout } from 'fallline/internal'
import wabt from 'wabt'

/** Assembles WebAssembly text and instantiates it over a memory, imported as `memory` of the module `host`. */
export async function assemble(
  text: string,
  memory: WebAssembly.Memory,
): Promise<Record<string, (...numbers: number[]) => void>> {
  const toolkit = await wabt()
  const module = toolkit.parseWat('benchmark.wat', text, { simd: true, bulk_memory: true })
  try {
    const { buffer } = module.toBinary({})
    const { instance } = await WebAssembly.instantiate(new Uint8Array(buffer), { host: { memory } })
    return instance.exports as Record<string, (...numbers: number[]) => void>
  } finally {
    module.destroy()
  }
}

/** Arrays of one kernel in one memory. */
export interface Arrays<Name extends string> {
  memory: WebAssembly.Memory
  /** Views of exactly the wanted size. */
  views: Record<Name, Float32Array>
  /** Byte offsets of the arrays. */
  at: Record<Name, number>
  /** Elements to run over: the size rounded up to whole iterations of 16 floats; what is past the size is padding. */
  padded: number
}

const elementsPerIteration = 16

/** Lays out arrays of `size` floats, zero at first, as far apart as the library has them. */
export function allocate<Name extends string>(size: number, names: readonly Name[]): Arrays<Name> {
  const padded = Math.ceil(size / elementsPerIteration) * elementsPerIteration
  const layout = new MemoryLayout()
  const at = {} as Record<Name, number>
  for (const name of names) at[name] = layout.reserveArray(4 * padded)
  const memory = layout.create(false)
  const views = {} as Record<Name, Float32Array>
  for (const name of names) views[name] = new Float32Array(memory.buffer, at[name], size)
  return { memory, views, at, padded }
}

/** A kernel that takes optimizer steps over its own arrays. */
export interface Kernel<Name extends string = string> {
  arrays: Record<Name, Float32Array>
  step(): void
}
