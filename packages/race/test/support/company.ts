import { memoryStorage, type Storage, type Study } from '@fallline/search'
import { expect } from 'vitest'

/** The storage as a process has it that dies when it ends a trial for the second time. */
function dying(storage: Storage): Storage {
  let ends = 0
  return {
    ...storage,
    async end(name, lease, ending) {
      if (++ends === 2) throw new Error('the process has died')
      return storage.end(name, lease, ending)
    },
  }
}

/**
 * Does work with two helpers, one of whom dies; both must have done something.
 *
 * @returns what came of it, and its study
 */
export async function inCompany<Results>(
  work: (shared: { storage: Storage; patience: number; onStudy(study: Study): void }) => Promise<Results>,
  help: (shared: { storage: Storage; patience: number }) => Promise<number>,
): Promise<{ results: Results; study: Study }> {
  const storage = memoryStorage()
  const patience = 1500
  const helpers: Promise<number>[] = []
  const studies: Study[] = []
  const results = await work({
    storage,
    patience,
    onStudy(study) {
      studies.push(study)
      helpers.push(
        help({ storage, patience }),
        help({ storage: dying(storage), patience }).catch((error: Error) => {
          expect(error.message).toBe('the process has died')
          return 1
        }),
      )
    },
  })
  const done = await Promise.all(helpers)
  expect(done.every((count) => count > 0)).toBe(true)
  const [study] = studies
  expect((await study!.trials()).some(({ lost }) => lost > 0)).toBe(true)
  return { results, study: study! }
}
