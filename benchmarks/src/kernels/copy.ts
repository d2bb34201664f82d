import { MemoryLayout } from 'fallline/internal'
import { assemble } from './assemble.ts'

/** A copy that can be repeated. */
export interface Copy {
  source: Uint8Array
  target: Uint8Array
  step(): void
}

/** Larger copies run over the same places several times: both are far larger than any cache. */
const largestHalf = 2 ** 29

/**
 * The yardstick of memory speed: copies `bytes / 2` bytes from one place of a WebAssembly memory to another, so that `bytes` bytes
 * are moved in all, half of them read and half written. `memory.copy` is the machine's own tuned routine.
 */
export async function copy(bytes: number): Promise<Copy> {
  const half = Math.ceil(bytes / 2 / 16) * 16
  const length = Math.min(half, largestHalf)
  const layout = new MemoryLayout()
  const [source, target] = [layout.reserveArray(length), layout.reserveArray(length)]
  const memory = layout.create(false)
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
    source: new Uint8Array(memory.buffer, source, length),
    target: new Uint8Array(memory.buffer, target, length),
    step() {
      for (let copied = 0; copied < half; copied += length) run!(target, source, Math.min(length, half - copied))
    },
  }
}
