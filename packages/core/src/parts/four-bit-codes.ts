import { stagedKernels } from '../backends/wasm/staged-kernels.ts'
import { type Slot, type SlotExtent, type SlotOptions, shaped } from '../language/slots.ts'
import type { Value } from '../language/value.ts'
import { provideStorages } from '../storage/provide-storages.ts'

/** A slot of whole numbers from 0 to 15 that take four bits each. They start at 0; `codesOf` reads and `asCodes` writes them. */
export function fourBitCodes(dimensions: Exclude<SlotExtent, string>, options?: Pick<SlotOptions, 'when'>): Slot {
  provideStorages(stagedKernels)
  return { ...shaped(dimensions, { ...options, start: 1 / 16 }), storage: 'sixteenths' }
}

/** The whole numbers that a slot of codes holds: it keeps them as sixteenths, from 1 to 16. */
export function codesOf(slot: Value): Value {
  return slot.times(16).minus(1)
}

/** What a slot of codes is to hold for whole numbers from 0 to 15. */
export function asCodes(codes: Value): Value {
  return codes.plus(1).over(16)
}
