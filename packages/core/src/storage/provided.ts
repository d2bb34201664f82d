import type { StagedKernels } from '../backends/wasm/staging.ts'
import type { Codec } from './codecs.ts'
import type { StagedStorage } from './storage.ts'

/** What reads and writes the storages beside float32. */
export interface Provision {
  readonly codecs: Readonly<Record<StagedStorage, Codec>>
  /** The bytes of an array of which all elements are one number. */
  readonly filled: (storage: StagedStorage, value: number, elements: number) => Uint8Array
  readonly kernels: StagedKernels
}

let provision: Provision | undefined

/** Called by what has state kept otherwise than in float32: so that nothing else loads what reads and writes it. */
export function provide(given: Provision): void {
  provision = given
}

/** @throws Error when state of that kind was never asked for. */
export function provided(): Provision {
  if (!provision) throw new Error('state that is not in float32 needs quantized(...) to be called first')
  return provision
}
