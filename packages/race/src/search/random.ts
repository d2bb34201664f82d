import { createHash } from 'node:crypto'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'

/** A seeded source of random numbers. The same seed and purpose always give the same numbers. */
export interface Random {
  /** A number in [0, 1). */
  uniform(): number
  /** An integer from `minimum` to `maximum`, both included. */
  integer(minimum: number, maximum: number): number
  /** A new array with the same items in random order. */
  shuffle<T>(items: readonly T[]): T[]
}

/**
 * The random numbers of one purpose of one study, for example the shift of the tuning sequence.
 * Purposes are independent of each other: drawing more numbers for one never changes another.
 *
 * @param seed seed of the study
 * @param purpose what the numbers are for
 */
export function random(seed: number, purpose: string): Random {
  // Nearby seeds give nearby first numbers in many generators; a hash of seed and purpose does not.
  const digest = createHash('sha256').update(`${purpose}/${seed}`).digest()
  const generator = xoroshiro128plusFromState([0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)))
  const integer = (minimum: number, maximum: number) => uniformInt(generator, minimum, maximum)
  return {
    uniform: () => uniformFloat64(generator),
    integer,
    shuffle<T>(items: readonly T[]): T[] {
      const shuffled = [...items]
      for (let last = shuffled.length - 1; last > 0; last--) {
        const other = integer(0, last)
        const kept = shuffled[last] as T
        shuffled[last] = shuffled[other] as T
        shuffled[other] = kept
      }
      return shuffled
    },
  }
}

/** The training seeds of a study: those used for tuning and those of the report never meet. */
export interface StudySeeds {
  /** Seeds of the tuning runs; every trial of every contender runs on all of them. */
  tuning: readonly number[]
  /** Seeds of the report runs; the selected setting of every contender runs on all of them. */
  report: readonly number[]
}

/**
 * Draws distinct training seeds for a study.
 *
 * @param seed seed of the study
 * @param tuning how many tuning seeds
 * @param report how many report seeds
 */
export function studySeeds(seed: number, tuning: number, report: number): StudySeeds {
  const taken = new Set<number>()
  const draw = (purpose: string, count: number) => {
    const source = random(seed, purpose)
    const seeds: number[] = []
    while (seeds.length < count) {
      const candidate = source.integer(1, 999_999_999)
      if (!taken.has(candidate)) seeds.push(candidate)
      taken.add(candidate)
    }
    return seeds
  }
  // Tuning seeds are drawn first, so that asking for more report seeds keeps all the earlier ones.
  return { tuning: draw('tuning seeds', tuning), report: draw('report seeds', report) }
}
