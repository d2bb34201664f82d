import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compile, registry } from 'fallline'
import { settingAt } from '../src/search/space.ts'
import { shiftedSobol } from '../src/search/sequence.ts'
import type { Task } from '../src/task.ts'
import { enter } from '../src/training/contenders.ts'
import { gradientsPerStep } from '../src/training/cost-of-a-step.ts'
import { MissingInputError } from '../src/training/evaluate.ts'
import { advance, beginning } from '../src/training/training.ts'

/** One recorded run; a file of them, one per line, is what recording goes on from. */
export interface RecordedRun {
  optimizer: string
  /** Number of the setting, from 0. */
  setting: number
  seed: number
  gradientsPerStep: number
  /** Metrics by evaluation, as far as the run got. */
  validation: number[]
}

export const settings = 8

/** Passes over the configurations: more seeds for the better ones, because only these are candidates for the best. */
const passes = [
  { share: 1, seeds: [1] },
  { share: 1 / 2, seeds: [2] },
  { share: 1 / 4, seeds: [3, 4] },
  { share: 1 / 8, seeds: [5, 6, 7, 8] },
]

/** Records the whole registry on a task into DIRECTORY/TASK.jsonl; goes on where an earlier call ended. */
export async function record(task: Task, directory: string, say: (text: string) => void): Promise<void> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `${task.name}.jsonl`)
  const runs: RecordedRun[] = existsSync(path)
    ? readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    : []
  const keyOf = ({ optimizer, setting, seed }: Pick<RecordedRun, 'optimizer' | 'setting' | 'seed'>) =>
    `${optimizer} ${setting} ${seed}`
  const done = new Set(runs.map(keyOf))
  const entries = enter(registry.map(({ definition }) => definition.name))
  const costs = new Map<string, number>()
  for (const { name, search, create } of entries) {
    const middle = settingAt(search, shiftedSobol(Object.keys(search), 1, 'recording'), 0)
    try {
      costs.set(name, await gradientsPerStep(create(middle, 100), task))
    } catch (error) {
      if (!(error instanceof MissingInputError)) throw error
    }
  }
  const fed = entries.filter(({ name }) => costs.has(name))
  const { steps: budget, evaluateEvery } = task.budget
  for (const { share, seeds } of passes) {
    const wanted = chosen(share, fed.map(({ name }) => name), runs, task)
    for (const seed of seeds) {
      const missing = wanted.filter((config) => !done.has(keyOf({ ...config, seed })))
      say(`${task.name}, seed ${seed}: ${missing.length} of ${wanted.length} runs`)
      for (const { optimizer, setting } of missing) {
        const { search, create } = fed.find(({ name }) => name === optimizer)!
        const cost = costs.get(optimizer)!
        const steps = Math.max(1, Math.round(budget / cost))
        const values = settingAt(search, shiftedSobol(Object.keys(search), 1, 'recording'), setting)
        const state = beginning()
        try {
          const compiled = await compile(create(values, steps), task.parameters, { nonFinite: 'skip' })
          await advance({ task, optimizer: compiled, seed, steps, evaluateEvery, nonFinite: 'stop' }, state)
          compiled.dispose()
        } catch (error) {
          say(`${optimizer} ${JSON.stringify(values)}: ${(error as Error).message}`)
        }
        if (state.outcome === 'failed') say(`${optimizer} ${JSON.stringify(values)}: ${state.message}`)
        const validation = state.curve.validation.map((value) => Number(value.toPrecision(5)))
        const run: RecordedRun = { optimizer, setting, seed, gradientsPerStep: cost, validation }
        runs.push(run)
        done.add(keyOf(run))
        appendFileSync(path, `${JSON.stringify(run)}\n`)
      }
    }
  }
}

/** The best share of the configurations by their mean metric so far, and all of the baseline. */
function chosen(share: number, names: readonly string[], runs: readonly RecordedRun[], task: Task) {
  const all = Array.from({ length: settings }, (_, setting) => names.map((optimizer) => ({ optimizer, setting }))).flat()
  if (share === 1) return all
  const length = Math.ceil(task.budget.steps / task.budget.evaluateEvery)
  const sign = task.direction === 'minimize' ? 1 : -1
  const score = ({ optimizer, setting }: (typeof all)[number]) => {
    const mine = runs.filter((run) => run.optimizer === optimizer && run.setting === setting)
    const ends = mine.map(({ validation }) => (validation.length < length ? Infinity : sign * validation.at(-1)!))
    return ends.reduce((sum, end) => sum + end, 0) / ends.length
  }
  const scored = all.map((config) => ({ config, score: score(config) })).sort((a, b) => a.score - b.score)
  return scored
    .filter(({ config }, rank) => rank < share * all.length || config.optimizer === 'adamW')
    .map(({ config }) => config)
}
