import { combine, type Prior, type ScoresByTask, scoreOf } from '../src/choose/prior.ts'
import { recordedBaseline, seeds } from './record.ts'
import { endsOf, type Ground, groundOf } from './simulate.ts'
import type { RecordedTable, RecordedTask } from './table.ts'

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * What the table says of every setting of every optimizer on every task: `scoreOf` the share of the configurations of the task whose
 * mean over their seeds of the metric at the end is better. Tasks whose first seed has not been recorded throughout are left out.
 */
export function scoresOf(table: RecordedTable): ScoresByTask {
  const used = table.tasks.filter(hasFirstSeed)
  const scores = new Map<string, number[]>()
  for (const task of used) {
    const found = Object.keys(task.runs).flatMap((optimizer) =>
      task.runs[optimizer]!.map((curves, setting) => ({
        key: `${optimizer} ${setting}`,
        value: mean(endsOf(task, curves).filter((end) => end !== null)),
      })),
    )
    for (const { key, value } of found) {
      const better = found.filter((other) => other.value < value).length / found.length
      scores.set(key, [...(scores.get(key) ?? []), scoreOf(better)])
    }
  }
  const optimizers: Record<string, ScoresByTask['optimizers'][string]> = {}
  for (const { name, search, settings } of table.optimizers) {
    const known = settings.map((_, setting) => scores.get(`${name} ${setting}`))
    if (known.every((values) => values !== undefined)) {
      optimizers[name] = {
        search,
        scores: used.map((_, task) => known.map((values) => values[task]!)),
      }
    }
  }
  return { tasks: used.map(({ name }) => name), optimizers }
}

/** The prior that a table gives, without some of its tasks, as when a policy is to be judged on one of them. */
export function priorOf(table: RecordedTable, without: readonly string[] = []): Prior {
  return combine(scoresOf(table), without)
}

/** The tasks of a table that policies can be judged on: every configuration has its first seed, the baseline all of them. */
export function groundsOf(table: RecordedTable): Ground[] {
  const judging = (task: RecordedTask) =>
    task.runs[recordedBaseline]?.every((curves) => seeds.every((_, seed) => Array.isArray(curves[seed])))
  return table.tasks.filter((task) => hasFirstSeed(task) && judging(task)).map((task) => groundOf(table, task))
}

function hasFirstSeed({ runs }: RecordedTask): boolean {
  return Object.values(runs).every((settings) => settings.every((curves) => Array.isArray(curves[0])))
}
