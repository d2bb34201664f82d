import { execFile } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  memoryStorage,
  openStudy,
  random,
  randomSearch,
  type Sampler,
  samplers,
  space,
  type TrialRecord,
  tpe,
} from '@fallline/search'
import { endsOf, expectedBest, recordedTable, simulate } from '@fallline/search/testing'
import { readTable } from '../../../packages/race/recording/table.ts'
import { branin, hartmann6, type TestFunction } from '../../../packages/search/test/support/functions.ts'
import { messageOf } from '../measure.ts'
import { installPythonPeers } from '../peers/install.ts'
import { type Summary, summarize } from '../statistics.ts'

/** How long asking and telling takes in a study that has trials already. */
export interface Bookkeeping {
  readonly sampler: string
  readonly storage: string
  readonly trials: number
  /** Seconds of one `ask` and `tell`; missing where it was not measured. */
  readonly seconds?: Summary
  readonly error?: string
}

/** How far the best trial is from the smallest value, over seeds. */
export interface Regret {
  readonly sampler: string
  readonly problem: string
  readonly after: number
  readonly regret: Summary
}

/** How many configurations of a recorded task are better than the best that was found, in the mean over seeds. */
export interface ReplayedSearch {
  readonly sampler: string
  readonly task: string
  /** Share of all configurations. */
  readonly better: number
}

export interface SearchReport {
  readonly bookkeeping: readonly Bookkeeping[]
  readonly regrets: readonly Regret[]
  readonly replayed: readonly ReplayedSearch[]
  readonly seeds: number
  /** The peer's version, or why there is none. */
  readonly peer?: { readonly version?: string; readonly error?: string }
}

const counts = [100, 1_000, 10_000, 100_000]
const after = [25, 50, 100]
const problems: Readonly<Record<string, TestFunction>> = { Branin: branin, 'Hartmann-6': hartmann6 }
const seeds = 20
/** A study is not made larger once asking takes longer than this. */
const longestAsk = 2
const rounds = 10

/** How recorded tasks are searched: side by side, for as long as so many full runs one after the other take. */
export const replays = { workers: 4, runs: 10, seeds: 10 } as const

/** Searches the recorded tasks in simulated time, by samplers that pause trials and those that they are compared with. */
export async function replaySearch(progress: (text: string) => void): Promise<ReplayedSearch[]> {
  const recorded = readTable()
  const replayed: ReplayedSearch[] = []
  for (const { name: task } of recorded.tasks) {
    const table = recordedTable(recorded, task)
    const ends = [...endsOf(table)].sort((a, b) => (table.direction === 'minimize' ? a - b : b - a))
    // Of equals all are as good as the first.
    const betterThan = (best: number) => ends.indexOf(best)
    const draws = replays.workers * replays.runs
    const exact = expectedBest(ends.map(betterThan), draws) / ends.length
    replayed.push({ sampler: 'random search, exactly', task, better: exact })
    for (const [sampler, make] of Object.entries(samplers) as [string, () => Sampler][]) {
      if (!make().needsResource && make !== randomSearch && make !== tpe) continue
      progress(`${sampler}: ${task}, replayed`)
      let sum = 0
      for (let seed = 0; seed < replays.seeds; seed++) {
        const { workers, runs } = replays
        const { best } = await simulate(table, { sampler: make(), time: runs * table.resource.maximum, workers, seed })
        sum += Number.isFinite(best) ? betterThan(best) / ends.length : 1
      }
      replayed.push({ sampler, task, better: sum / replays.seeds })
    }
  }
  return replayed
}

/** Measures every sampler that needs nothing but values. */
export async function measureSearch(
  peers: { python: string | undefined } | undefined,
  progress: (text: string) => void,
): Promise<SearchReport> {
  const bookkeeping: Bookkeeping[] = []
  const regrets: Regret[] = []
  for (const [name, make] of Object.entries(samplers) as [string, () => Sampler][]) {
    if (make().needsResource) continue
    let previous = 0
    for (const trials of counts) {
      if (previous > longestAsk) break
      progress(`${name}: ask and tell with ${trials} trials`)
      try {
        const seconds = await measureAsking(make, trials)
        previous = seconds.median
        bookkeeping.push({ sampler: name, storage: 'memory', trials, seconds })
      } catch (error) {
        bookkeeping.push({ sampler: name, storage: 'memory', trials, error: messageOf(error) })
      }
    }
    for (const [problem, { definition, minimum, value }] of Object.entries(problems)) {
      progress(`${name}: ${problem}`)
      const bests: number[][] = after.map(() => [])
      for (let seed = 0; seed < seeds; seed++) {
        const study = await openStudy({ space: space(definition), sampler: make(), seed })
        await study.optimize(({ record }) => value(record.parameters as Record<string, number>), {
          trials: after.at(-1)!,
        })
        const values = (await study.trials()).map((trial) => trial.values?.[0] ?? Infinity)
        for (const [index, count] of after.entries()) {
          bests[index]!.push(Math.min(...values.slice(0, count)) - minimum)
        }
      }
      for (const [index, count] of after.entries()) {
        regrets.push({ sampler: name, problem, after: count, regret: summarize(bests[index]!) })
      }
    }
  }
  const replayed = await replaySearch(progress)
  if (!peers) return { bookkeeping, regrets, replayed, seeds }
  const theirs = await measureOptuna(peers.python, progress)
  return {
    bookkeeping: [...bookkeeping, ...theirs.bookkeeping],
    regrets: [...regrets, ...theirs.regrets],
    replayed,
    seeds,
    peer: theirs.peer,
  }
}

async function measureAsking(make: () => Sampler, trials: number): Promise<Summary> {
  const { definition, value } = branin
  const searched = space(definition)
  const source = await openStudy({ space: searched, name: 'source' })
  await source.enqueue(searched.parameters(searched.fromCube([0.5, 0.5])))
  await source.tell(await source.ask(), 1)
  const template = await source.trial(0)
  const draw = random(trials, 'benchmark')
  const records = Array.from({ length: trials }, (): TrialRecord => {
    const point = searched.fromCube([draw.uniform(), draw.uniform()])
    const parameters = searched.parameters(point)
    return { ...template, point, parameters, values: [value(parameters as Record<string, number>)] }
  })
  const storage = memoryStorage()
  const study = await openStudy({ space: searched, sampler: make(), storage })
  await storage.add(study.name, records)
  // The first takes in all that is there.
  await study.tell(await study.ask(), 1)
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    const trial = await study.ask()
    await study.tell(trial, value(trial.record.parameters as Record<string, number>))
    seconds.push((performance.now() - start) / 1000)
    if (seconds.reduce((sum, each) => sum + each, 0) > 10 * longestAsk) break
  }
  return summarize(seconds)
}

interface PeerOutput {
  readonly version: string
  readonly bookkeeping: readonly { sampler: string; storage: string; trials: number; seconds: number[] }[]
  readonly regrets: readonly { sampler: string; problem: string; after: number; values: number[] }[]
}

async function measureOptuna(
  python: string | undefined,
  progress: (text: string) => void,
): Promise<Pick<SearchReport, 'bookkeeping' | 'regrets'> & { peer: NonNullable<SearchReport['peer']> }> {
  const nothing = { bookkeeping: [], regrets: [] }
  const installed = python === undefined ? await installPythonPeers(progress, ['optuna']) : null
  const problem = installed?.problems.optuna
  if (problem) return { ...nothing, peer: { error: problem } }
  progress('Optuna')
  const script = fileURLToPath(new URL('../peers/optuna_peer.py', import.meta.url))
  try {
    const { stdout } = await promisify(execFile)(python ?? installed!.interpreter, [script, String(seeds)], {
      maxBuffer: 1 << 26,
    })
    const { version, bookkeeping, regrets } = JSON.parse(stdout) as PeerOutput
    return {
      bookkeeping: bookkeeping.map((row) => ({ ...row, seconds: summarize(row.seconds) })),
      regrets: regrets.map(({ values, ...row }) => ({ ...row, regret: summarize(values) })),
      peer: { version },
    }
  } catch (error) {
    return { ...nothing, peer: { error: messageOf(error) } }
  }
}
