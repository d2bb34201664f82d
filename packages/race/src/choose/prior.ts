import { readFileSync } from 'node:fs'
import type { SearchSpace } from '../search/space.ts'

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
        /** Mean over the tasks of the score of a setting, by the number of the setting; 0 is as good as the best. */
        readonly scores: readonly number[]
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
        /** `scores[task][setting]`, in the order of `tasks`. */
        readonly scores: readonly (readonly number[])[]
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
  const mean = (scores: readonly (readonly number[])[], setting: number) =>
    used.reduce((sum, task) => sum + scores[task]![setting]!, 0) / used.length
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

/** The prior that comes with this package, for choosing on a task: what was recorded on that task itself is left out. */
export function readPrior(task: string): Prior {
  return combine(readScores(), [task])
}
