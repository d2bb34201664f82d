import { wholeFrom } from '../check.ts'
import { checkEta, levelsOf } from './parts/rungs.ts'
import { type Bracket, inside, type ScheduleState, schedule } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** What successive halving is made of. */
export interface HalvingOptions {
  /** Of the trials of a rung one of so many goes on, and so many times as far. Default: 3. */
  readonly eta?: number
  /** Where the points come from. Default: `randomSearch()`. */
  readonly inner?: Sampler
  /** How often it begins anew. Default: Infinity. */
  readonly rounds?: number
}

/** Options of `successiveHalving`. */
export interface SuccessiveHalvingOptions extends HalvingOptions {
  /** Trials of the first rung. Default: so many that one goes to the end. */
  readonly trials?: number
}

/**
 * Successive halving (Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization, arXiv
 * 1502.07943): trials are begun with the minimum of the resource, the best of each `eta` go on to `eta` times as much, and so forth to
 * the maximum. It is synchronous: nobody goes on before all of a rung have been there, and workers wait.
 *
 * @throws RangeError for eta that is not a whole number from 2, and for fewer trials than 1
 */
export function successiveHalving({
  eta = 3,
  inner = randomSearch(),
  rounds = Infinity,
  trials,
}: SuccessiveHalvingOptions = {}): Sampler<ScheduleState> {
  checkEta('successiveHalving', eta)
  if (trials !== undefined) wholeFrom('successiveHalving', 'trials', trials, 1)
  return schedule(
    'successiveHalving',
    inside(inner),
    function* ({ resource }): Generator<Bracket> {
      const levels = levelsOf(resource!, eta)
      const count = trials ?? eta ** (levels.length - 1)
      const rungs = levels.map((until, rung) => ({ count: Math.floor(count / eta ** rung), until }))
      const used = rungs.filter((rung) => rung.count > 0)
      for (let bracket = 0; bracket < rounds; bracket++) yield { bracket, first: 0, rungs: used }
    },
    false,
  )
}
