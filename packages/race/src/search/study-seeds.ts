import { random } from '@fallline/search/internal'

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
