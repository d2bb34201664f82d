/** What kernels look up when they read and write storages with codes of few bits. */

import { codesOf, midpoints } from '../../storage/codecs.ts'
import type { StagedStorage, StorageName } from '../../storage/storage.ts'

/**
 * What encoding looks up for codes of few bits. The float32 bits of a number, its sign among them, are cut into bins so narrow that at
 * most one bound between two codes lies in each. To a bin's entry the bits are added, and shifted right they are the code, of numbers
 * below 0 less than 0 by it: the entry holds the code where the bin begins, less its bits there, and what makes the bits carry exactly
 * when they lie beyond the bound.
 */
interface EncodeTable {
  /** The number of bits within a bin. */
  readonly shift: number
  /** Of the bins of all numbers from 0 to 1, and from -0 to -1. */
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
  const zero = codes.indexOf(0)
  const bounds = midpoints(codes)
  // Of codes without sign only 0 itself has that of 0.
  const above = zero === 0 ? [0, ...bounds.slice(1)] : bounds.filter((bound) => bound > 0)
  const below = bounds.filter((bound) => bound < 0).toReversed()
  // Halfway, the lower code: a number beyond a bound has bits above it, one below 0 also the bound itself.
  const [up, down] = [above.map((bound) => bitsOf(bound) + 1), below.map((bound) => bitsOf(-bound))]
  let shift = 22
  const apart = (bits: readonly number[]) => new Set(bits.map((each) => each >> shift)).size === bits.length
  while (!apart(up) || !apart(down)) shift--
  const bins = (one >> shift) + 1
  const signBit = zero > 0 ? 2 ** (31 - shift) : 0
  const entries = new Int32Array(signBit + bins)
  const fill = (first: number, start: number, ends: readonly number[]) => {
    let passed = 0
    for (let bin = 0; bin < bins; bin++) {
      const end = ends[passed]
      const inside = end !== undefined && end >> shift === bin
      const carry = inside ? 2 ** shift - (end - (bin << shift)) : 0
      entries[first + bin] = ((start + passed) << shift) + carry - ((first + bin) << shift)
      if (inside) passed++
    }
  }
  fill(0, zero, up)
  if (signBit > 0) fill(signBit, -zero, down)
  return { shift, entries }
}

/** Codes, and how they are looked up. */
export interface Coding {
  readonly codes: Float32Array
  readonly signed: boolean
  /** The words in memory, and where the entries for encoding begin there. */
  readonly words: Int32Array
  readonly shift: number
  readonly entries: number
}

const codings = new Map<StagedStorage, Coding>()

/** Of each byte of the numbers of sixteen codes a vector, in which codes select. */
function planesOf(codes: Float32Array): Int32Array {
  const bytes = new Uint8Array(codes.buffer)
  return new Int32Array(Uint8Array.from(bytes, (_, place) => bytes[4 * (place % 16) + (place >> 4)]!).buffer)
}

export function codingOf(storage: StagedStorage): Coding {
  const known = codings.get(storage)
  if (known) return known
  const codes = codesOf[storage]!()
  const planes = codes.length === 16 ? planesOf(codes) : []
  // Few codes are found by rounding, or by comparing with all bounds.
  const { shift, entries } = codes.length > 16 ? encodeTable(codes) : { shift: 0, entries: [] }
  const words = Int32Array.from([...new Int32Array(codes.buffer), ...planes, ...entries])
  const coding = { codes, signed: codes[0]! < 0, words, shift, entries: codes.length + planes.length }
  codings.set(storage, coding)
  return coding
}

/** What reading and writing a storage looks up, in words. */
export function tableOf(storage: StorageName): Int32Array {
  return storage === 'float32' || !codesOf[storage] ? new Int32Array(0) : codingOf(storage).words
}
