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

const path = new URL('../../data/prior.json', import.meta.url)

let kept: Prior | undefined

/** The prior that comes with this package, from its recorded table. */
export function readPrior(): Prior {
  kept ??= JSON.parse(readFileSync(path, 'utf8')) as Prior
  return kept
}
