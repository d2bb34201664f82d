import { hyperbandPlan, type Sizes } from './parts/hyperband.ts'
import { checkEta } from './parts/rungs.ts'
import { inside, type ScheduleState, schedule } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import type { HalvingOptions } from './successive-halving.ts'

/** Options of `hyperband`. */
export interface HyperbandOptions extends HalvingOptions {
  /**
   * How many trials bracket s of S + 1 begins with: ceil((S + 1) eta^s / (s + 1)) as in the `journal`, or floor((S + 1) / (s + 1)) eta^s
   * as in the first `preprint`. Default: `journal`.
   */
  readonly sizes?: Sizes
}

/**
 * Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter
 * Optimization, Journal of Machine Learning Research 18, arXiv 1603.06560): brackets of successive halving, from the one that begins with
 * the minimum of the resource to the one whose trials all go to the end. Trials that go on are continued and not begun anew, so that a
 * loop from 1 to 81 by 3 uses 1,581 units instead of 1,902. While a rung waits for trials that run, the next bracket is begun.
 *
 * @throws RangeError for eta that is not a whole number from 2
 */
export function hyperband({
  eta = 3,
  inner = randomSearch(),
  rounds = Infinity,
  sizes = 'journal',
}: HyperbandOptions = {}): Sampler<ScheduleState> {
  checkEta('hyperband', eta)
  return schedule('hyperband', inside(inner), ({ resource }) => hyperbandPlan(resource!, eta, sizes, rounds), true)
}
