/** What kernels look up when they read and write storages with codes of few bits. */

import { codesOf, midpoints } from '../../storage/codecs.ts'
import type { StagedStorage, StorageName } from '../../storage/storage.ts'

/**
 * What encoding looks up for codes of few bits. The float32 bits of a number's size are cut into bins, so narrow that at most one bound
 * between two codes lies in each. To a bin's entry the bits are added, and shifted right they are the code, counted from that of 0: the
 * entry holds the lower code, less where the bin begins, and what makes the bits carry exactly when they lie above the bound.
 */
interface EncodeTable {
  /** The bits that the first bin begins with; everything below belongs to it. */
  readonly base: number
  /** The number of bits within a bin. */
  readonly shift: number
  readonly entries: Int32Array
}

const float = new Float32Array(1)
const integer = new Int32Array(float.buffer)

export function bitsOf(value: number): number {
  float[0] = value
  return integer[0]!
}

const one = bitsOf(1)

function encodeTable(codes: Float32Array): EncodeTable {
  const above = midpoints(codes).filter((bound) => bound > 0)
  // Of codes without sign only 0 itself has that of 0, which is seen to when encoding.
  const first = codes[0] === 0 ? 1 : 0
  const bounds = above.slice(first).map(bitsOf)
  let shift = 22
  const binOf = (bits: number) => bits >> shift
  while (new Set(bounds.map(binOf)).size < bounds.length) shift--
  const base = binOf(bounds[0]!) << shift
  const entries = Array.from({ length: ((one - base) >> shift) + 1 }, (_, bin) => {
    const begin = base + (bin << shift)
    const passed = bounds.filter((bits) => bits < begin).length
    const bound = bounds.find((bits) => bits >= begin && bits < begin + (1 << shift))
    const carry = bound === undefined ? 0 : (1 << shift) - 1 - (bound - begin)
    return ((first + passed) << shift) + carry - begin
  })
  return { base, shift, entries: Int32Array.from(entries) }
}

/** Codes, and how they are looked up. */
export interface Coding {
  readonly codes: Float32Array
  readonly table: EncodeTable
  readonly signed: boolean
  readonly zero: boolean
}

const codings = new Map<StagedStorage, Coding>()

export function codingOf(storage: StagedStorage): Coding {
  const known = codings.get(storage)
  if (known) return known
  const codes = codesOf[storage]!()
  const coding = { codes, table: encodeTable(codes), signed: codes[0]! < 0, zero: codes[0] === 0 }
  codings.set(storage, coding)
  return coding
}

/** What reading and writing a storage looks up, in words. */
export function tableOf(storage: StorageName): Int32Array {
  if (storage === 'float32' || !codesOf[storage]) return new Int32Array(0)
  const { codes, table } = codingOf(storage)
  const words = new Int32Array(codes.length + table.entries.length)
  new Float32Array(words.buffer).set(codes)
  words.set(table.entries, codes.length)
  return words
}
