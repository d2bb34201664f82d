import { readFileSync } from 'node:fs'
import { type SearchSpace, sameSpace } from '../search/space.ts'

/** What earlier studies found: a score of every setting of every optimizer they saw. */
export interface Prior {
  /** The tasks of these studies. */
  readonly tasks: readonly string[]
  readonly optimizers: Readonly<
    Record<
      string,
      {
        /** The ranges the settings were drawn from. */
        readonly search: SearchSpace
        /** Mean over the tasks of the score of a setting, by the number of the setting; 0 is as good as the best, `null` where none tried it. */
        readonly scores: readonly (number | null)[]
      }
    >
  >
}

/** The scores that a prior is the mean of, as in `data/prior.json`. */
export interface ScoresByTask {
  readonly tasks: readonly string[]
  readonly optimizers: Readonly<
    Record<
      string,
      {
        readonly search: SearchSpace
        /** `scores[task][setting]`, in the order of `tasks`; `null` for a setting that was not tried. */
        readonly scores: readonly (readonly (number | null)[])[]
      }
    >
  >
}

/**
 * The prior of earlier studies on all tasks but some.
 *
 * @param without tasks that are left out, such as the one to be chosen on: its own curves would give the answer away
 */
export function combine({ tasks, optimizers }: ScoresByTask, without: readonly string[] = []): Prior {
  const used = tasks.map((_, index) => index).filter((index) => !without.includes(tasks[index]!))
  const mean = (scores: ScoresByTask['optimizers'][string]['scores'], setting: number) => {
    const known = used.flatMap((task) => scores[task]![setting] ?? [])
    return known.length === 0 ? null : known.reduce((sum, score) => sum + score, 0) / known.length
  }
  return {
    tasks: used.map((index) => tasks[index]!),
    optimizers:
      used.length === 0
        ? {}
        : Object.fromEntries(
            Object.entries(optimizers).map(([name, { search, scores }]) => [
              name,
              { search, scores: scores[0]!.map((_, setting) => mean(scores, setting)) },
            ]),
          ),
  }
}

const path = new URL('../../data/prior.json', import.meta.url)

let kept: ScoresByTask | undefined

/** The scores that come with this package, from its recorded table. */
export function readScores(): ScoresByTask {
  kept ??= JSON.parse(readFileSync(path, 'utf8')) as ScoresByTask
  return kept
}

/**
 * The prior for choosing on a task: what comes with this package and what was learnt here, without anything about that task itself.
 *
 * @param learnt what earlier studies learnt here; default: nothing
 */
export function readPrior(task: string, learnt: ScoresByTask = nothing): Prior {
  return combine(merged(readScores(), learnt), [task])
}

/** Scores of no task. */
export const nothing: ScoresByTask = { tasks: [], optimizers: {} }

/**
 * Scores of two sources. Of a task that both know the first one counts, and of an optimizer that they drew from other ranges too, because
 * there the numbers of the settings mean other values.
 */
export function merged(first: ScoresByTask, second: ScoresByTask): ScoresByTask {
  const added = second.tasks.map((_, index) => index).filter((index) => !first.tasks.includes(second.tasks[index]!))
  const names = [...new Set([...Object.keys(first.optimizers), ...Object.keys(second.optimizers)])]
  const optimizers = names.map((name) => {
    const [mine, theirs] = [first.optimizers[name], second.optimizers[name]]
    const { search, scores } = (mine ?? theirs)!
    const unknown = scores[0]!.map(() => null)
    const agree = theirs !== undefined && sameSpace(search, theirs.search)
    const both = [
      ...first.tasks.map((_, task) => mine?.scores[task] ?? unknown),
      ...added.map((task) => (agree ? theirs.scores[task]! : unknown)),
    ]
    return [name, { search, scores: both }] as const
  })
  return {
    tasks: [...first.tasks, ...added.map((task) => second.tasks[task]!)],
    optimizers: Object.fromEntries(optimizers),
  }
}

/**
 * The score of a setting: log(1 + 100 q), q the share of the others that are better. Places and not metrics, because tasks differ in
 * scale; their logarithm, because it matters more to tell the best from the good than the bad from the worst.
 */
export function scoreOf(better: number): number {
  return Number(Math.log(1 + 100 * better).toFixed(3))
}
