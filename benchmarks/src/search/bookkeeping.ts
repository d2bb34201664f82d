import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import {
  memoryStorage,
  openStudy,
  random,
  type Sampler,
  type Storage,
  samplers,
  type TrialRecord,
} from '@fallline/search'
import { studyFolder, studyServer } from '@fallline/search/sql'
import { messageOf } from '../measure.ts'
import { type Summary, summarize } from '../statistics.ts'
import { problems } from './problems.ts'

/** How long asking and telling takes in a study that has trials already. */
export interface Bookkeeping {
  readonly sampler: string
  readonly storage: string
  readonly trials: number
  /** Seconds of one `ask` and `tell`; missing where it was not measured. */
  readonly seconds?: Summary
  /** Why not. */
  readonly error?: string
}

/** A study is not made larger for a sampler once it takes longer, in seconds: to ask, or to take in what is there. */
export const longest = { ask: 2, first: 30 }

/** How often one asks and tells. */
const rounds = 20

/** How often before anything is measured on a storage: the engine first runs quickly made code. */
const warmUp = 30

/** Samplers with those of Optuna beside them; on a database, where the others would show the same bookkeeping again, only these. */
export const compared: Readonly<Record<string, readonly string[]>> = {
  random: ['Optuna random'],
  tpe: ['Optuna TPE', 'Optuna TPE, multivariate'],
  cmaEs: ['Optuna CMA-ES'],
  gaussianProcess: ['Optuna GP'],
}

/** Samplers that need nothing but values, by name. */
export const plainSamplers = (Object.entries(samplers) as [string, () => Sampler][]).filter(
  ([, make]) => !make().needsResource,
)

const searched = problems[0]!

/** Measures every one of some samplers with so many trials, in memory. */
export async function bookkeepingInMemory(
  names: readonly string[],
  counts: readonly number[],
  progress: (text: string) => void,
): Promise<Bookkeeping[]> {
  const found: Bookkeeping[] = []
  await warmed(memoryStorage())
  for (const name of names) {
    const measured = new Measured(name, 'memory', found)
    for (const trials of counts) {
      progress(`${name}: ask and tell with ${trials} trials in memory`)
      await measured.add(trials, async () => {
        const storage = memoryStorage()
        await filled(storage, 'study', trials)
        return storage
      })
    }
  }
  return found
}

/** The same on a folder, or on a server when there is the URL of a database: one study of each number of trials, for all samplers. */
export async function bookkeepingInTables(
  names: readonly string[],
  counts: readonly number[],
  url: string | undefined,
  progress: (text: string) => void,
): Promise<Bookkeeping[]> {
  const where = url === undefined ? 'PGlite' : 'PostgreSQL'
  const folder = mkdtempSync(join(tmpdir(), 'fallline-bench-'))
  const found: Bookkeeping[] = []
  const measured = names.map((name) => new Measured(name, where, found))
  const storage = url === undefined ? await studyFolder(join(folder, 'studies')) : await studyServer(url)
  try {
    await warmed(storage)
    for (const trials of counts) {
      progress(`filling ${where} with ${trials} trials`)
      await filled(storage, `of ${trials}`, trials)
      for (const each of measured) {
        progress(`${each.sampler}: ask and tell with ${trials} trials in ${where}`)
        await each.add(trials, async () => storage, `of ${trials}`)
      }
    }
  } finally {
    await storage.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return found
}

/** What is measured of one sampler on one storage; it ends where it would take too long. */
class Measured {
  readonly sampler: string
  private readonly storage: string
  private readonly found: Bookkeeping[]
  private stopped: string | undefined

  constructor(sampler: string, storage: string, found: Bookkeeping[]) {
    this.sampler = sampler
    this.storage = storage
    this.found = found
  }

  async add(trials: number, open: () => Promise<Storage>, study = 'study'): Promise<void> {
    const row = { sampler: this.sampler, storage: this.storage, trials }
    if (this.stopped !== undefined) {
      this.found.push({ ...row, error: this.stopped })
      return
    }
    try {
      const { first, seconds } = await measureAsking(this.sampler, await open(), study)
      if (seconds.median > longest.ask) this.stopped = `left out: ${seconds.median.toFixed(1)} s at ${trials}`
      else if (first > longest.first) this.stopped = `left out: ${first.toFixed(0)} s for the first ask at ${trials}`
      this.found.push({ ...row, seconds })
    } catch (error) {
      this.stopped = `left out after an error at ${trials}`
      this.found.push({ ...row, error: messageOf(error) })
    }
  }
}

/** Puts trials into a storage that have ended, evenly drawn from the space of Branin's function. */
async function filled(storage: Storage, name: string, trials: number): Promise<void> {
  const study = await openStudy({ space: searched.space, storage, name, sampler: samplers.random() })
  await study.enqueue(searched.space.parameters(searched.space.fromCube([0.5, 0.5])))
  await study.tell(await study.ask(), 1)
  const template = await study.trial(0)
  const draw = random(trials, 'benchmark')
  for (let done = 1; done < trials; ) {
    const part = Math.min(5_000, trials - done)
    const records = Array.from({ length: part }, (): TrialRecord => {
      const point = searched.space.fromCube([draw.uniform(), draw.uniform()])
      const parameters = searched.space.parameters(point)
      return { ...template, point, parameters, values: [searched.value(parameters)] }
    })
    await storage.add(name, records)
    done += part
  }
}

async function warmed(storage: Storage): Promise<void> {
  const study = await openStudy({ space: searched.space, storage, name: 'warm-up', sampler: samplers.random() })
  for (let turn = 0; turn < warmUp; turn++) await study.tell(await study.ask(), turn)
}

async function measureAsking(sampler: string, storage: Storage, name: string) {
  const [, make] = plainSamplers.find(([each]) => each === sampler)!
  const study = await openStudy({ space: searched.space, sampler: make(), storage, name })
  const round = async () => {
    const start = performance.now()
    const trial = await study.ask()
    await study.tell(trial, searched.value(trial.record.parameters))
    return (performance.now() - start) / 1000
  }
  // It takes in all that is there.
  const first = await round()
  const seconds: number[] = []
  for (let turn = 0; turn < rounds && seconds.reduce((sum, each) => sum + each, 0) < 5 * longest.ask; turn++) {
    seconds.push(await round())
  }
  return { first, seconds: summarize(seconds) }
}
