/** What the reference and whoever looks at state make of each storage: exact arithmetic where kernels have float32. */

import { sizeOf } from '../graph/dimensions.ts'
import { philox, type RandomStream } from '../graph/philox.ts'
import type { SlotStorage } from '../program/program.ts'
import { dynamicMap, linearMap } from './codes.ts'
import { partsOf, type StagedStorage, sizeInBytes, storageOf } from './storage.ts'

/** Reads and writes the bytes of whole arrays. */
export interface Codec {
  decode(bytes: Uint8Array, elements: number): Float64Array
  /** @param stream what random rounding follows; the nearest where it is absent. */
  encode(values: ArrayLike<number>, stream?: Omit<RandomStream, 'draw'>): Uint8Array
}

/** The numbers that the codes of a storage stand for, ascending. */
export const codesOf: Readonly<Partial<Record<StagedStorage, () => Float32Array>>> = {
  dynamic8: () => dynamicMap(8, true),
  unsignedDynamic8: () => dynamicMap(8, false),
  dynamic4: () => dynamicMap(4, true),
  unsignedLinear4: () => linearMap(4),
  sixteenths: () => linearMap(4),
}

/** The smallest normal float32: a block of smaller numbers is one of zeros. */
export const smallestScale = 2 ** -126
/** The largest float32, and the largest bfloat16. */
export const largestScale = (2 - 2 ** -23) * 2 ** 127
export const largestBfloat16 = (2 - 2 ** -7) * 2 ** 127

/** Halfway between a code and the next, as float32 arithmetic finds it: what lies above gets the upper code. */
export function midpoints(codes: Float32Array): number[] {
  return [...codes.subarray(1)].map((code, index) => Math.fround(Math.fround(code + codes[index]!) / 2))
}

/** The sixteen random bits of an element: 32 elements share four counters, whose words have two halves each. */
export function randomBits({ seed, step, tensor }: Omit<RandomStream, 'draw'>, index: number): number {
  const words = philox([(index >>> 5) * 4 + (index & 3), step, tensor, 0], [seed, 0])
  const word = words[(index >>> 2) & 3]!
  return (index >>> 4) & 1 ? word >>> 16 : word & 0xffff
}

/** Codes of few bits, with a scale for every block where the storage has blocks. */
function coded(name: StagedStorage): Codec {
  const codes = codesOf[name]!()
  const { bits, block = Number.POSITIVE_INFINITY } = storageOf(name)
  const bounds = midpoints(codes)
  const unsigned = codes[0]! >= 0
  /** The code of the nearest number, the lower one halfway; above 0 at least the first that is not 0. */
  const codeOf = (value: number, above: boolean) => {
    let [from, to] = [0, bounds.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (value > bounds[middle]!) from = middle + 1
      else to = middle
    }
    return unsigned && above && codes[from] === 0 ? from + 1 : from
  }
  const scalesOf = (bytes: Uint8Array, elements: number) => {
    const first = partsOf(name, elements).elements
    return { scales: new DataView(bytes.buffer, bytes.byteOffset, first), first }
  }
  return {
    decode(bytes, elements) {
      const { scales, first } = scalesOf(bytes, elements)
      return Float64Array.from({ length: elements }, (_, index) => {
        const byte = bytes[first + ((bits * index) >> 3)]!
        const code = bits === 8 ? byte : index % 2 === 0 ? byte & 15 : byte >> 4
        const scale = scales.byteLength > 0 ? scales.getFloat32(4 * Math.floor(index / block), true) : 1
        return Math.fround(codes[code]! * scale)
      })
    },
    encode(values) {
      const bytes = new Uint8Array(sizeInBytes(name, values.length))
      const { scales, first } = scalesOf(bytes, values.length)
      const length = Math.min(block, values.length)
      for (let begin = 0; begin < values.length; begin += length) {
        const end = Math.min(begin + length, values.length)
        let scale = 1
        if (scales.byteLength > 0) {
          scale = 0
          // What is not a number has no part in this.
          for (let index = begin; index < end; index++) scale = Math.max(scale, Math.abs(values[index]! || 0))
          scale = Math.fround(Math.min(scale, largestScale))
          if (scale < smallestScale) scale = 0
          scales.setFloat32(4 * Math.floor(begin / block), scale, true)
        }
        // The authors multiply with what 1 over the scale is in float32.
        const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
        for (let index = begin; index < end; index++) {
          const value = values[index]! || 0
          const code = codeOf(Math.fround(Math.fround(value) * inverse), value > 0)
          bytes[first + ((bits * index) >> 3)]! |= bits === 8 || index % 2 === 0 ? code : code << 4
        }
        // What fills the last byte is the code of 0.
        if (bits === 4 && end === values.length && end % 2 === 1) bytes[bytes.length - 1]! |= codeOf(0, false) << 4
      }
      return bytes
    },
  }
}

const single = new Float32Array(1)
const word = new Uint32Array(single.buffer)

/** The bits of a number as float32 within what bfloat16 holds; what is smaller than a normal number or none is 0. */
function bitsOf(value: number): number {
  single[0] = !(Math.abs(value) >= smallestScale) ? 0 : Math.max(-largestBfloat16, Math.min(value, largestBfloat16))
  return word[0]!
}

function fromBits(bits: number): number {
  word[0] = bits
  return single[0]!
}

const bfloat16: Codec = {
  decode(bytes, elements) {
    return Float64Array.from({ length: elements }, (_, index) =>
      fromBits((bytes[2 * index]! << 16) | (bytes[2 * index + 1]! << 24)),
    )
  },
  encode(values, stream) {
    const bytes = new Uint8Array(2 * values.length)
    for (let index = 0; index < values.length; index++) {
      const upper = (bitsOf(values[index]!) + (stream ? randomBits(stream, index) : 0x8000)) >>> 16
      bytes[2 * index] = upper & 255
      bytes[2 * index + 1] = upper >>> 8
    }
    return bytes
  },
}

const bfloat16AndByte: Codec = {
  decode(bytes, elements) {
    const { others } = partsOf('bfloat16AndByte', elements)
    return Float64Array.from({ length: elements }, (_, index) => {
      const upper = bytes[2 * index]! | (bytes[2 * index + 1]! << 8)
      return fromBits((upper << 16) + ((bytes[others + index]! << 24) >> 16))
    })
  },
  encode(values) {
    const bytes = new Uint8Array(sizeInBytes('bfloat16AndByte', values.length))
    const { others } = partsOf('bfloat16AndByte', values.length)
    for (let index = 0; index < values.length; index++) {
      const rounded = (bitsOf(values[index]!) + 0x80) >>> 8
      const upper = (rounded + 0x80) >>> 8
      bytes[2 * index] = upper & 255
      bytes[2 * index + 1] = upper >>> 8
      bytes[others + index] = rounded - (upper << 8)
    }
    return bytes
  },
}

/** How the reference reads and writes each storage; one that is missing does not compile. */
export const codecs: Readonly<Record<StagedStorage, Codec>> = {
  bfloat16,
  bfloat16AndByte,
  dynamic8: coded('dynamic8'),
  unsignedDynamic8: coded('unsignedDynamic8'),
  dynamic4: coded('dynamic4'),
  unsignedLinear4: coded('unsignedLinear4'),
  sixteenths: coded('sixteenths'),
}

/** The bytes that a slot begins with. */
export function startBytes({ storage, start, dimensions }: SlotStorage): Uint8Array {
  return filled(storage as StagedStorage, start as number, sizeOf(dimensions))
}

/** The bytes of an array of which all elements are one number. */
export function filled(name: StagedStorage, value: number, elements: number): Uint8Array {
  const { bits, block = 1 } = storageOf(name)
  const bytes = new Uint8Array(sizeInBytes(name, elements))
  if (elements === 0) return bytes
  const few = Math.min(2 * block, elements - (elements % 2) || 1)
  const pattern = codecs[name].encode(new Float64Array(few).fill(value))
  const [own, whole] = [partsOf(name, few), partsOf(name, elements)]
  const size = bits === 4 ? 1 : bits / 8
  const repeat = (from: number, to: number, end: number, length: number) => {
    bytes.set(pattern.subarray(from, from + Math.min(length, end - to)), to)
    // What is there already is doubled.
    for (let done = length; to + done < end; done *= 2) bytes.copyWithin(to + done, to, Math.min(to + done, end - done))
  }
  if (name === 'bfloat16AndByte') {
    repeat(0, 0, 2 * elements, 2)
    repeat(own.others, whole.others, whole.others + elements, 1)
    return bytes
  }
  repeat(0, 0, whole.elements, 4)
  repeat(own.elements, whole.elements, bytes.length, size)
  // What fills the last byte is the code of 0.
  if (bits === 4 && elements % 2 === 1) bytes[bytes.length - 1] = codecs[name].encode([value]).at(-1)!
  return bytes
}

/** Makes numbers of what is kept as shares of the smaller of a number for the row and one for the column. */
export function multiply(
  shares: Float32Array | Float64Array,
  rows: ArrayLike<number>,
  columns: ArrayLike<number>,
): void {
  for (let index = 0; index < shares.length; index++) {
    shares[index]! *= Math.min(rows[Math.floor(index / columns.length)]!, columns[index % columns.length]!)
  }
}
