import { RaceInterrupted, race as run } from '../../src/race.ts'
import type { RaceResults } from '../../src/results.ts'

const options = {
  task: 'digits-softmax',
  optimizers: ['adamW', 'sgd', 'lion'],
  studies: 3,
  trials: 2,
  steps: 40,
} as const

/** A small race that is done, kept in a folder. */
export const race = (out: string): Promise<RaceResults> => run({ ...options, out })

/** The same, ended after so many runs. */
export async function interrupted(out: string, runs: number): Promise<void> {
  const abort = new AbortController()
  const onProgress = ({ index }: { index: number }) => index > runs && abort.abort()
  await run({ ...options, out, signal: abort.signal, onProgress }).catch((error: unknown) => {
    if (!(error instanceof RaceInterrupted)) throw error
  })
}
