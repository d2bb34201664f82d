import { lax, numpy as np } from '@jax-js/jax'
import {
  codesOf,
  largestBfloat16,
  largestScale,
  midpoints,
  partsOf,
  philoxIncrements,
  philoxMultipliers,
  philoxRounds,
  type StagedStorage,
  sizeInBytes,
  smallestScale,
  storageOf,
} from 'fallline/internal'

/**
 * State in fewer bits, in jax-js: its arrays have no elements of fewer than 32 bits that codes could lie in, so the bytes of such state,
 * the same as everywhere else, lie four in each element of a `uint32` array.
 */

/** What random rounding follows: whole numbers, of which the step may not be known while a function is traced. */
export interface Rounding {
  readonly seed: number
  readonly step: np.Array | number
  readonly tensor: number
}

/** How many elements the bytes of so many numbers take. */
export function packedLength(storage: StagedStorage, elements: number): number {
  return Math.ceil(sizeInBytes(storage, elements) / 4)
}

/** Bytes as the elements that they take. */
export function packBytes(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(bytes.length / 4))
  words.forEach((_, index) => {
    for (let byte = 3; byte >= 0; byte--) words[index] = (words[index]! << 8) | (bytes[4 * index + byte] ?? 0)
  })
  return words
}

/** The bytes of so many numbers in elements. */
export function unpackBytes(words: ArrayLike<number>, storage: StagedStorage, elements: number): Uint8Array {
  return Uint8Array.from({ length: sizeInBytes(storage, elements) }, (_, at) => words[at >>> 2]! >>> (8 * (at & 3)))
}

/** The numbers that packed state stands for; consumes it. */
export function unpacked(words: np.Array, storage: StagedStorage, elements: number): np.Array {
  if (storage === 'bfloat16') {
    return asFloats(np.leftShift(unjoined(words, 16, elements), uint(16)))
  }
  if (storage === 'bfloat16AndByte') {
    const [upper, left] = np.split(words, [partsOf(storage, elements).others / 4]) as [np.Array, np.Array]
    const byte = unjoined(left, 8, elements)
    // The byte has a sign.
    const borrowed = unjoined(upper, 16, elements).sub(np.rightShift(byte.ref, uint(7)))
    return asFloats(np.bitwiseOr(np.leftShift(borrowed, uint(16)), np.leftShift(byte, uint(8))))
  }
  const { bits, block } = storageOf(storage)
  const blocks = partsOf(storage, elements).elements / 4
  const [scales, codes] = np.split(words, [blocks]) as [np.Array, np.Array]
  const numbers = np.take(
    np.array(codesOf[storage]!() as Float32Array<ArrayBuffer>),
    unjoined(codes, bits, elements),
    0,
  )
  if (!block) {
    scales.dispose()
    return numbers
  }
  return numbers.mul(ofElements(asFloats(scales), block, elements))
}

/** Numbers, in one dimension, as packed state; consumes them. */
export function packed(values: np.Array, storage: StagedStorage, rounding?: Rounding): np.Array {
  const elements = values.size
  if (storage === 'bfloat16') {
    const drawn = rounding ? randomHalves(rounding, elements) : uint(0x8000)
    return joined(np.rightShift(bitsOf(values).add(drawn), uint(16)), 16)
  }
  if (storage === 'bfloat16AndByte') {
    const room = partsOf(storage, elements).others / 2
    const rounded = np.rightShift(bitsOf(padded(values, room)).add(uint(0x80)), uint(8))
    const upper = np.rightShift(rounded.ref.add(uint(0x80)), uint(8))
    const left = np.bitwiseAnd(rounded.sub(np.leftShift(upper.ref, uint(8))), uint(255))
    return np.concatenate([joined(upper, 16), joined(left, 8)])
  }
  const { bits, block } = storageOf(storage)
  // Half a byte that is left over has the code of 0.
  const known = padded(np.where(np.isnan(values.ref), 0, values), bits === 4 ? elements + (elements % 2) : elements)
  if (!block) return joined(codesFor(known.ref, known, storage), bits)
  const blocks = partsOf(storage, elements).elements / 4
  const size = np.max(np.absolute(padded(known.ref, blocks * block)).reshape([blocks, block]), -1)
  const limited = np.minimum(size, largestScale)
  const scales = np.where(np.less(limited.ref, smallestScale), 0, limited)
  // The authors multiply with what 1 over the scale is in float32.
  const inverse = np.where(np.equal(scales.ref, 0), 0, np.reciprocal(np.maximum(scales.ref, smallestScale)))
  const shares = known.ref.mul(ofElements(inverse, block, known.size))
  return np.concatenate([asBits(scales), joined(codesFor(shares, known, storage), bits)])
}

/**
 * The code of the nearest number to each share, the lower one halfway; of state without signs what is above 0 gets the first that is
 * not 0. Searched in two rounds, each of which compares with at most 15 numbers. Consumes its arguments.
 */
function codesFor(shares: np.Array, values: np.Array, storage: StagedStorage): np.Array {
  const codes = codesOf[storage]!()
  const bounds = midpoints(codes)
  const above = (of: np.Array, limits: np.Array) =>
    np.sum(np.greater(np.expandDims(of, -1), limits).astype(np.uint32), -1)
  const constant = (numbers: readonly number[]) => np.array(Float32Array.from(numbers))
  let found: np.Array
  if (bounds.length < 16) found = above(shares, constant(bounds))
  else {
    const first = above(shares.ref, constant(bounds.filter((_, index) => index % 16 === 15)))
    const places = np.expandDims(first.ref.mul(uint(16)), -1).add(np.arange(15).astype(np.uint32))
    found = first.mul(uint(16)).add(above(shares, np.take(constant(bounds), places, 0)))
  }
  const zero = codes.indexOf(0)
  const positive = np.greater(values, 0)
  if (codes[0]! < 0 || zero < 0) {
    positive.dispose()
    return found
  }
  return np.where(np.logicalAnd(positive, np.equal(found.ref, zero)), uint(zero + 1), found)
}

/** Codes of few bits from elements of 32; consumes them. */
function unjoined(words: np.Array, bits: number, elements: number): np.Array {
  const each = 32 / bits
  const shifts = np.arange(each).astype(np.uint32).mul(uint(bits))
  const codes = np.bitwiseAnd(np.rightShift(np.expandDims(words, -1), shifts), uint(2 ** bits - 1)).reshape([-1])
  return codes.size === elements ? codes : codes.slice([0, elements])
}

/** Codes of few bits in elements of 32, filled up with 0; consumes them. */
function joined(codes: np.Array, bits: number): np.Array {
  const each = 32 / bits
  const shifts = np.arange(each).astype(np.uint32).mul(uint(bits))
  const whole = padded(codes, each * Math.ceil(codes.size / each))
  return np.sum(np.leftShift(whole.reshape([-1, each]), shifts), -1)
}

function padded(values: np.Array, size: number): np.Array {
  return values.size === size ? values : np.pad(values, [[0, size - values.size]])
}

/** A number for each block as one for each element; consumes them. */
function ofElements(blocks: np.Array, block: number, elements: number): np.Array {
  const all = np.broadcastTo(np.expandDims(blocks, -1), [blocks.size, block]).reshape([-1])
  return all.size === elements ? all : all.slice([0, elements])
}

const uint = (value: number): np.Array => np.array(Uint32Array.of(value), { shape: [] })
const asBits = (values: np.Array): np.Array => lax.bitcastConvertType(values, np.uint32)
const asFloats = (bits: np.Array): np.Array => lax.bitcastConvertType(bits, np.float32)

/** The bits of numbers within what bfloat16 holds; what is smaller than a normal number or none is 0. */
function bitsOf(values: np.Array): np.Array {
  const normal = np.greaterEqual(np.absolute(values.ref), smallestScale)
  return asBits(np.where(normal, np.clip(values, -largestBfloat16, largestBfloat16), 0))
}

/** The sixteen random bits of each element, as `randomBits` of the core draws them. */
function randomHalves({ seed, step, tensor }: Rounding, elements: number): np.Array {
  const groups = Math.ceil(elements / 32)
  const counters = np.arange(4 * groups).astype(np.uint32)
  const words = philoxOf(counters, typeof step === 'number' ? uint(step) : step.ref.astype(np.uint32), tensor, seed)
  // Of 32 elements the four counters have four words each: element 16 h + 4 w + l has the h-th half of the w-th word of counter l.
  const byWord = np.stack(
    words.map((word) => word.reshape([groups, 4])),
    1,
  )
  const halves = np.stack([np.bitwiseAnd(byWord.ref, uint(0xffff)), np.rightShift(byWord, uint(16))], 1)
  const all = halves.reshape([-1])
  return all.size === elements ? all : all.slice([0, elements])
}

/** The four words of Philox4x32-10 for counters (counter, step, tensor, 0) and the key (seed, 0). */
function philoxOf(counters: np.Array, step: np.Array, tensor: number, seed: number): np.Array[] {
  const zeros = np.zerosLike(counters.ref)
  let [a, b, c, d] = [counters, zeros.ref.add(step), zeros.ref.add(uint(tensor)), zeros]
  let [k0, k1] = [seed, 0]
  for (let round = 0; round < philoxRounds; round++) {
    const [low0, high0] = product(a, philoxMultipliers[0])
    const [low1, high1] = product(c, philoxMultipliers[1])
    a = np.bitwiseXor(np.bitwiseXor(high1, b), uint(k0))
    b = low1
    c = np.bitwiseXor(np.bitwiseXor(high0, d), uint(k1))
    d = low0
    k0 = (k0 + philoxIncrements[0]) >>> 0
    k1 = (k1 + philoxIncrements[1]) >>> 0
  }
  return [a, b, c, d]
}

/** The two words of a product with a constant, from products of 16 bits, which every backend has exactly. */
function product(values: np.Array, by: number): [low: np.Array, high: np.Array] {
  const [low, high] = [np.bitwiseAnd(values.ref, uint(0xffff)), np.rightShift(values, uint(16))]
  const [byLow, byHigh] = [by & 0xffff, by >>> 16]
  const lowest = low.ref.mul(uint(byLow))
  const middle = high.ref.mul(uint(byLow)).add(np.rightShift(lowest.ref, uint(16)))
  const other = low.mul(uint(byHigh)).add(np.bitwiseAnd(middle.ref, uint(0xffff)))
  const upper = high.mul(uint(byHigh)).add(np.rightShift(middle, uint(16)))
  const lower = np.bitwiseOr(np.leftShift(other.ref, uint(16)), np.bitwiseAnd(lowest, uint(0xffff)))
  return [lower, upper.add(np.rightShift(other, uint(16)))]
}
