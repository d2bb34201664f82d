import type { Storage } from '@fallline/search'

/** The storage as a process has it that dies when it ends a trial for the n-th time. */
export function dyingAt(count: number, storage: Storage): Storage {
  let ends = 0
  return {
    ...storage,
    async end(name, lease, ending) {
      if (++ends === count) throw new Error('the process has died')
      return storage.end(name, lease, ending)
    },
  }
}
