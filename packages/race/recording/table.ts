import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { registry } from 'fallline'
import { candidateSetting, settingsPerContender } from '../src/choose/candidates.ts'
import type { SearchSpace, Setting } from '../src/search/space.ts'
import type { Task } from '../src/task.ts'
import { enter } from '../src/training/contenders.ts'
import { evaluationsOf, missingRuns, readRuns, seeds } from './record.ts'

/** The recorded table: every optimizer of the registry that the tasks can feed, at some settings and seeds. */
export interface RecordedTable {
  readonly optimizers: readonly RecordedOptimizer[]
  readonly tasks: readonly RecordedTask[]
}

/** An optimizer and its recorded settings. */
export interface RecordedOptimizer {
  readonly name: string
  /** The ranges the settings were drawn from. */
  readonly search: SearchSpace
  readonly settings: readonly Setting[]
}

/** The runs on one task. */
export interface RecordedTask {
  readonly name: string
  readonly direction: 'minimize' | 'maximize'
  /** Gradients of a full run, and between two evaluations. */
  readonly budget: Task['budget']
  readonly targets: readonly number[]
  /** False while runs are missing that `record` would add. */
  readonly complete: boolean
  /** Gradients that a step computes, of the optimizers where it is not one. */
  readonly gradientsPerStep: Readonly<Record<string, number>>
  /**
   * Validation metric by optimizer, setting, seed (from 1, shorter where later seeds were not recorded) and evaluation; `null` for a
   * seed between others that was not recorded. A run with fewer evaluations than the budget gives has diverged. Four digits.
   */
  readonly runs: Readonly<Record<string, readonly (readonly (readonly number[] | null)[])[]>>
}

/** Where the packed table lies. */
export const tablePath = fileURLToPath(new URL('../data/recorded.json.gz', import.meta.url))

/** Reads a packed table. */
export function readTable(path: string = tablePath): RecordedTable {
  return JSON.parse(gunzipSync(readFileSync(path)).toString('utf8')) as RecordedTable
}

/** Writes a packed table; the same runs give the same bytes. */
export function writeTable(table: RecordedTable, path: string = tablePath): void {
  writeFileSync(path, gzipSync(JSON.stringify(table), { level: 9 }))
}

/** Makes the table of everything that was recorded in a folder; tasks without a run are left out. */
export function packTable(tasks: readonly Task[], directory: string): RecordedTable {
  const packed = tasks.map((task) => packTask(task, directory)).filter((task) => task !== undefined)
  const seen = new Set(packed.flatMap(({ runs }) => Object.keys(runs)))
  const optimizers = enter(registry.map(({ definition }) => definition.name))
    .filter(({ name }) => seen.has(name))
    .map(({ name, search }) => ({
      name,
      search,
      settings: Array.from({ length: settingsPerContender }, (_, index) => candidateSetting(search, index)),
    }))
  return { optimizers, tasks: packed }
}

function packTask(task: Task, directory: string): RecordedTask | undefined {
  const { name, direction, budget, targets } = task
  const recorded = readRuns(directory, name)
  if (recorded.length === 0) return undefined
  const names = registry
    .map(({ definition }) => definition.name)
    .filter((optimizer) => recorded.some((run) => run.optimizer === optimizer))
  const gradientsPerStep: Record<string, number> = {}
  const runs: Record<string, (readonly number[] | null)[][]> = {}
  for (const optimizer of names) {
    const mine = recorded.filter((run) => run.optimizer === optimizer)
    const cost = Number(mine[0]!.gradientsPerStep.toPrecision(6))
    if (cost !== 1) gradientsPerStep[optimizer] = cost
    runs[optimizer] = Array.from({ length: settingsPerContender }, (_, setting) => {
      const curves = seeds.map((seed) => {
        const run = mine.find((each) => each.setting === setting && each.seed === seed)
        return run ? run.validation.slice(0, evaluationsOf(budget)).map((value) => Number(value.toPrecision(4))) : null
      })
      return curves.slice(0, 1 + curves.findLastIndex((curve) => curve !== null))
    })
  }
  const complete = missingRuns(task, names, recorded).length === 0
  return { name, direction, budget, targets, complete, gradientsPerStep, runs }
}
