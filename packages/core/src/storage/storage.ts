/** How the elements of an array are kept in memory, as plain data that planner, interpreters and backends walk. */
export interface Storage {
  /** Bits of an element. */
  readonly bits: 4 | 8 | 16 | 24 | 32
  /** Elements that share a scale, a float32; all scales lie before the elements. */
  readonly block?: number
  /** True where rounding draws random numbers. */
  readonly random?: true
}

/** All storages. A backend that cannot read and write one does not compile. */
export const storages = {
  float32: { bits: 32 },
  /** The upper half of a float32, rounded up or down by chance so that the mean is right. */
  bfloat16: { bits: 16, random: true },
  /** A bfloat16, rounded to the nearest, and behind all of them a byte of what that left over. */
  bfloat16AndByte: { bits: 24 },
  /** Codes of the dynamic maps, times the scale of their block. */
  dynamic8: { bits: 8, block: 256 },
  unsignedDynamic8: { bits: 8, block: 256 },
  dynamic4: { bits: 4, block: 128 },
  /** Sixteenths of the scale of their block, from 1 to 16. */
  unsignedLinear4: { bits: 4, block: 128 },
  /** Sixteenths from 1 to 16. */
  sixteenths: { bits: 4 },
} as const satisfies Readonly<Record<string, Storage>>

export type StorageName = keyof typeof storages

/** The storages that kernels read and write by way of a float32 copy of a few elements. */
export type StagedStorage = Exclude<StorageName, 'float32'>

/** A storage as what all have in common. */
export function storageOf(name: StorageName): Storage {
  return storages[name]
}

/** Sixteen elements are written at a time, also where fewer are left: what lies behind them must be nobody else's. */
function wholeSixteens(elements: number): number {
  return 16 * Math.ceil(elements / 16)
}

/** Where in the bytes of an array its elements begin, and what belongs to them: scales, or the bytes that bfloat16 leaves over. */
export function partsOf(name: StorageName, elements: number): { readonly elements: number; readonly others: number } {
  const { block } = storageOf(name)
  if (name === 'bfloat16AndByte') return { elements: 0, others: 2 * wholeSixteens(elements) }
  return { elements: block ? 4 * Math.ceil(elements / block) : 0, others: 0 }
}

/** Bytes of an array of so many elements. */
export function sizeInBytes(name: StorageName, elements: number): number {
  const { bits, block } = storageOf(name)
  if (name === 'bfloat16AndByte') return 3 * wholeSixteens(elements)
  return Math.ceil((bits * elements) / 8) + (block ? 4 * Math.ceil(elements / block) : 0)
}
