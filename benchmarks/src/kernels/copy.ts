import { assemble } from './assemble.ts'

/** A copy that can be repeated. */
export interface Copy {
  source: Uint8Array
  target: Uint8Array
  step(): void
}

/**
 * The yardstick of memory speed: copies `bytes / 2` bytes from one place of a WebAssembly memory to another, so that `bytes` bytes
 * are moved in all, half of them read and half written. `memory.copy` is the machine's own tuned routine.
 */
export async function copy(bytes: number): Promise<Copy> {
  const half = Math.ceil(bytes / 2 / 16) * 16
  const target = half + 448
  const memory = new WebAssembly.Memory({ initial: Math.ceil((target + half) / 65536) })
  // Pages that were never written all map to one page of zeros, which would flatter the reads.
  new Uint8Array(memory.buffer).fill(1)
  const { run } = await assemble(
    `(module
      (import "host" "memory" (memory 1))
      (func (export "run") (param $target i32) (param $source i32) (param $bytes i32)
        (memory.copy (local.get $target) (local.get $source) (local.get $bytes))))`,
    memory,
  )
  return {
    source: new Uint8Array(memory.buffer, 0, half),
    target: new Uint8Array(memory.buffer, target, half),
    step: () => run!(target, 0, half),
  }
}
