import { wholeFrom } from '../check.ts'
import { hyperbandBrackets } from './parts/hyperband.ts'
import { checkEta, levelsOf } from './parts/rungs.ts'
import { type Bracket, inside, type ScheduleState, schedule } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import type { HalvingOptions } from './successive-halving.ts'

/** Options of `iterativeDeepeningHyperband`. */
export interface DeepeningOptions extends Omit<HalvingOptions, 'rounds'> {
  /** The maximum of the first stage is so many levels above the minimum. Default: 1. */
  readonly start?: number
  /** The most of the resource that a trial gets for now; a study that is opened again with more goes on. Default: that of the resource. */
  readonly maximum?: number
}

/**
 * Iterative-Deepening Hyperband (Brandt, Wever, Bengs and Huellermeier 2023, Iterative Deepening Hyperband, arXiv 2302.00511): Hyperband
 * with a small maximum of the resource, then with `eta` times as much and so forth. A stage takes over the brackets of the stage before,
 * which get more trials and one rung more, and what has been evaluated is not evaluated again. Of the paper's three forms this is the
 * discarding one: trials that went on before and are not among the best any more stay where they are, so each stage chooses what
 * Hyperband with its maximum would have chosen from the same points.
 *
 * @throws RangeError for eta that is not a whole number from 2, and a start that is not one from 0
 */
export function iterativeDeepeningHyperband({
  eta = 3,
  inner = randomSearch(),
  start = 1,
  maximum = Infinity,
}: DeepeningOptions = {}): Sampler<ScheduleState> {
  checkEta('iterativeDeepeningHyperband', eta)
  wholeFrom('iterativeDeepeningHyperband', 'start', start, 0)
  return schedule(
    'iterativeDeepeningHyperband',
    inside(inner),
    function* ({ resource }): Generator<Bracket> {
      const all = levelsOf(resource!, eta)
      const levels = all.filter((level, index) => index === 0 || level <= maximum)
      for (let top = Math.min(start, levels.length - 1); top < levels.length; top++) {
        const brackets = hyperbandBrackets(levels.slice(0, top + 1), eta, 'journal')
        // A bracket is known by its first level, which it keeps in later stages.
        for (const [first, rungs] of brackets.entries()) yield { bracket: first, first, rungs }
      }
    },
    true,
  )
}
