import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { compile, registry } from 'fallline'
import { candidateSetting, settingsPerContender } from '../src/choose/candidates.ts'
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

/** Passes over the configurations: more seeds for the better ones, because only these are candidates for the best. */
const passes = [
  { share: 1, seeds: [1] },
  { share: 1 / 2, seeds: [2] },
  { share: 1 / 4, seeds: [3, 4] },
  { share: 1 / 8, seeds: [5, 6, 7, 8] },
]

/** Where a run takes more than a second, only the best tenth gets more seeds than one. */
const fewerPasses: typeof passes = [
  { share: 1, seeds: [1] },
  { share: 1 / 10, seeds: [2, 3, 4, 5, 6, 7, 8] },
]

const slowTasks = ['character-transformer']

/** Recorded seeds. */
export const seeds = passes.flatMap((pass) => pass.seeds)

/** The contender whose every setting is recorded on every seed. */
export const recordedBaseline = 'adamW'

type Configuration = Pick<RecordedRun, 'optimizer' | 'setting'>

const keyOf = ({ optimizer, setting, seed }: Configuration & { seed: number }) => `${optimizer} ${setting} ${seed}`

/** Reads the recorded runs of a task; none when there is no file. A last line that was cut off is left out. */
export function readRuns(directory: string, task: string): RecordedRun[] {
  const path = join(directory, `${task}.jsonl`)
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as RecordedRun)
}

/** Evaluations of a full run; a recorded run with fewer has diverged. */
export function evaluationsOf({ steps, evaluateEvery }: Task['budget']): number {
  return Math.ceil(steps / evaluateEvery)
}

/**
 * Runs of a task that have yet to be recorded, in the order of the passes. Those of a pass are known when the passes before have been
 * recorded; so once this is empty, the task is complete.
 *
 * @param optimizers those that the task can feed
 */
export function missingRuns(
  task: Pick<Task, 'name' | 'direction' | 'budget'>,
  optimizers: readonly string[],
  runs: readonly RecordedRun[],
): (Configuration & { seed: number })[] {
  const done = new Set(runs.map(keyOf))
  for (const pass of slowTasks.includes(task.name) ? fewerPasses : passes) {
    const before = runs.filter(({ seed }) => seed < pass.seeds[0]!)
    const wanted = bestShare(pass.share, optimizers, before, task)
    const missing = pass.seeds.flatMap((seed) =>
      wanted.map((configuration) => ({ ...configuration, seed })).filter((run) => !done.has(keyOf(run))),
    )
    if (missing.length > 0) return missing
  }
  return []
}

/** The best share of the configurations by their mean metric so far, and all of the baseline. */
function bestShare(
  share: number,
  optimizers: readonly string[],
  runs: readonly RecordedRun[],
  { direction, budget }: Pick<Task, 'direction' | 'budget'>,
): Configuration[] {
  const numbers = Array.from({ length: settingsPerContender }, (_, setting) => setting)
  const all = numbers.flatMap((setting) => optimizers.map((optimizer) => ({ optimizer, setting })))
  if (share === 1) return all
  const sign = direction === 'minimize' ? 1 : -1
  const ends = new Map<string, number[]>()
  for (const { optimizer, setting, validation } of runs) {
    const key = `${optimizer} ${setting}`
    const end = validation.length < evaluationsOf(budget) ? Infinity : sign * validation.at(-1)!
    ends.set(key, [...(ends.get(key) ?? []), end])
  }
  const scored = all.map((configuration) => {
    const mine = ends.get(`${configuration.optimizer} ${configuration.setting}`) ?? [Infinity]
    return { configuration, score: mine.reduce((sum, end) => sum + end, 0) / mine.length }
  })
  scored.sort((a, b) => (a.score === b.score ? 0 : a.score - b.score))
  return scored
    .filter(({ configuration }, rank) => rank < share * all.length || configuration.optimizer === recordedBaseline)
    .map(({ configuration }) => configuration)
}

/** Records the whole registry on a task into DIRECTORY/TASK.jsonl; goes on where an earlier call ended. */
export async function record(task: Task, directory: string, say: (text: string) => void): Promise<void> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `${task.name}.jsonl`)
  if (existsSync(path)) truncateSync(path, readFileSync(path).lastIndexOf(10) + 1)
  const runs = readRuns(directory, task.name)
  const entries = enter(registry.map(({ definition }) => definition.name))
  const costs = new Map<string, number>()
  for (const { name, search, create } of entries) {
    try {
      costs.set(name, await gradientsPerStep(create(candidateSetting(search, 0), 100), task))
    } catch (error) {
      if (!(error instanceof MissingInputError)) throw error
    }
  }
  const { steps: budget, evaluateEvery } = task.budget
  while (true) {
    const missing = missingRuns(task, [...costs.keys()], runs)
    if (missing.length === 0) return
    say(`${task.name}, seeds from ${missing[0]!.seed}: ${missing.length} runs`)
    for (const { optimizer, setting, seed } of missing) {
      const { search, create } = entries.find(({ name }) => name === optimizer)!
      const cost = costs.get(optimizer)!
      const steps = Math.max(1, Math.round(budget / cost))
      const values = candidateSetting(search, setting)
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
      appendFileSync(path, `${JSON.stringify(run)}\n`)
    }
  }
}
