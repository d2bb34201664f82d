import { sha256 } from '@noble/hashes/sha2.js'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'

/** A seeded source of random numbers: the same seed and purpose give the same numbers in every process, worker and page. */
export interface Random {
  /** A number in [0, 1). */
  uniform(): number
  /** An integer from `minimum` to `maximum`, both included. */
  integer(minimum: number, maximum: number): number
  /** A number of the standard normal distribution. */
  normal(): number
  /** One of the items, each as likely as any other. */
  pick<T>(items: readonly T[]): T
  /** An index, as likely as its weight; weights are not negative and not all 0. */
  weighted(weights: ArrayLike<number>): number
  /** A new array with the same items in random order. */
  shuffle<T>(items: readonly T[]): T[]
}

/**
 * The random numbers of one purpose. Purposes are independent of each other: drawing more numbers for one never changes another.
 *
 * @param seed of the study
 * @param purpose what the numbers are for, such as `'trial 7'`
 */
export function random(seed: number, purpose: string): Random {
  // Nearby seeds give nearby first numbers in many generators; a hash of seed and purpose does not.
  const digest = new DataView(sha256(new TextEncoder().encode(`${purpose}/${seed}`)).buffer)
  const generator = xoroshiro128plusFromState([0, 4, 8, 12].map((offset) => digest.getInt32(offset, true)))
  const uniform = () => uniformFloat64(generator)
  const integer = (minimum: number, maximum: number) => uniformInt(generator, minimum, maximum)
  let spare: number | undefined
  return {
    uniform,
    integer,
    // The polar method of Marsaglia gives two numbers at a time.
    normal() {
      if (spare !== undefined) {
        const kept = spare
        spare = undefined
        return kept
      }
      let [x, y, square] = [0, 0, 0]
      do {
        x = 2 * uniform() - 1
        y = 2 * uniform() - 1
        square = x * x + y * y
      } while (square >= 1 || square === 0)
      const factor = Math.sqrt((-2 * Math.log(square)) / square)
      spare = y * factor
      return x * factor
    },
    pick: (items) => items[integer(0, items.length - 1)]!,
    weighted(weights) {
      let total = 0
      for (let index = 0; index < weights.length; index++) total += weights[index]!
      let left = uniform() * total
      let last = 0
      for (let index = 0; index < weights.length; index++) {
        if (weights[index]! <= 0) continue
        last = index
        left -= weights[index]!
        if (left < 0) return index
      }
      return last
    },
    shuffle(items) {
      const shuffled = [...items]
      for (let last = shuffled.length - 1; last > 0; last--) {
        const other = integer(0, last)
        const kept = shuffled[last]!
        shuffled[last] = shuffled[other]!
        shuffled[other] = kept
      }
      return shuffled
    },
  }
}
