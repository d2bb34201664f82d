/** From what was laid out to an instance that runs. Knows neither plans nor generator. */

import { type SlotStorage, writeStart } from '../../program/program.ts'
import { provided } from '../../storage/provided.ts'
import { type InstanceSetup, WasmInstance } from './instance.ts'
import type { LaidOut } from './prepared.ts'

/** Writes words, tables and the first values of state to memory. */
export function fill(
  { buffer }: WebAssembly.Memory,
  { words, tables, tensors, shared }: LaidOut,
  state: readonly { readonly slots: readonly SlotStorage[] }[],
): void {
  const view = new Int32Array(buffer)
  for (const { address, values } of words) view.set(values, address / 4)
  for (const [storage, address] of tables) view.set(provided().table(storage), address / 4)
  const numbers = new Float64Array(buffer)
  for (const [index, { slots }] of state.entries()) {
    const { arrays, numbers: own } = tensors[index]!
    for (const slot of slots) {
      const array = arrays.get(slot.key)
      if (array) {
        const { address, size, storage } = array
        if (storage !== 'float32') new Uint8Array(buffer).set(provided().start(slot), address)
        else if (slot.start !== 0) writeStart(slot, new Float32Array(buffer, address, size))
      } else {
        const address = (slot.shared ? shared : own).get(slot.key)
        if (address !== undefined) numbers[address / 8] = slot.start as number
      }
    }
  }
}

/** The instance of a module. */
export function finish({
  exports,
  ...setup
}: Omit<InstanceSetup, 'run'> & { readonly exports: WebAssembly.Exports }): WasmInstance {
  return new WasmInstance({ ...setup, run: exports.run as InstanceSetup['run'] })
}
