/**
 * Counter-based random numbers: Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3.
 * A number depends on where it is used alone, so every backend and any number of threads draw the same.
 */

import type { Distribution } from './node.ts'

/** Multipliers and key increments of a round. */
export const philoxMultipliers = [0xd2511f53, 0xcd9e8d57] as const
export const philoxIncrements = [0x9e3779b9, 0xbb67ae85] as const
export const philoxRounds = 10

type Words = [number, number, number, number]

/** The high word of a 64-bit product, from products of 16 bits, which doubles hold exactly. */
function highWord(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const other = aLow * bHigh + (middle & 0xffff)
  return aHigh * bHigh + (middle >>> 16) + (other >>> 16)
}

/** Four words for a counter of four words and a key of two. */
export function philox(counter: Readonly<Words>, key: readonly [number, number]): Words {
  let [a, b, c, d] = counter
  let [k0, k1] = key
  for (let round = 0; round < philoxRounds; round++) {
    const low0 = Math.imul(philoxMultipliers[0], a) >>> 0
    const high0 = highWord(philoxMultipliers[0], a)
    const low1 = Math.imul(philoxMultipliers[1], c) >>> 0
    const high1 = highWord(philoxMultipliers[1], c)
    a = (high1 ^ b ^ k0) >>> 0
    b = low1
    c = (high0 ^ d ^ k1) >>> 0
    d = low0
    k0 = (k0 + philoxIncrements[0]) >>> 0
    k1 = (k1 + philoxIncrements[1]) >>> 0
  }
  return [a, b, c, d]
}

/** What a random number depends on besides its place in the array; whole numbers below 2³². */
export interface RandomStream {
  readonly seed: number
  readonly step: number
  readonly tensor: number
  readonly draw: number
}

/** A number strictly between 0 and 1 with 23 random bits, exact in float32. */
function uniform(word: number): number {
  return ((word >>> 9) + 0.5) * 2 ** -23
}

/**
 * The number at a place: N(0, 1) by Box and Muller, U(0, 1), or -1 and 1. Sixteen places share four counters, so that four
 * lanes at a time use all four words: place 16 b + 4 q + l has counter 4 b + l, and its q-th word.
 */
export function randomNumber(kind: Distribution, { seed, step, tensor, draw }: RandomStream, index: number): number {
  const quarter = (index >>> 2) & 3
  const words = philox([(index >>> 4) * 4 + (index & 3), step, tensor, draw], [seed, 0])
  const word = words[quarter]!
  if (kind === 'sign') return word >>> 31 === 1 ? -1 : 1
  if (kind === 'uniform') return uniform(word)
  // Two words make two normal numbers.
  const [first, second] = quarter < 2 ? [words[0], words[1]] : [words[2], words[3]]
  const angle = 2 * Math.PI * uniform(second)
  return Math.sqrt(-2 * Math.log(uniform(first))) * (quarter % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
}

/** A number for a name, by which equal streams of different tensors differ (FNV-1a). */
export function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
