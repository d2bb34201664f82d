import type { HyperbandOptions } from './hyperband.ts'
import { hyperbandPlan } from './parts/hyperband.ts'
import { type DensityOptions, densityProposal } from './parts/kernel-density.ts'
import { checkEta, levelsOf, seenByLevel } from './parts/rungs.ts'
import { type ScheduleState, type Source, schedule } from './parts/schedule.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** Options of `bohb`. */
export interface BohbOptions extends Omit<HyperbandOptions, 'inner'>, DensityOptions {
  /** Share of the points that are drawn at random, whatever is known. Default: 1/3. */
  readonly randomShare?: number
}

/**
 * BOHB (Falkner, Klein and Hutter 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, arXiv 1807.01774): the brackets of
 * Hyperband, whose points come from kernel densities of the good and the bad ones at the highest level of the resource where enough have
 * been seen.
 *
 * @throws RangeError for eta that is not a whole number from 2, and for shares that are not from 0 to 1
 */
export function bohb({
  eta = 3,
  rounds = Infinity,
  sizes = 'journal',
  randomShare = 1 / 3,
  ...density
}: BohbOptions = {}): Sampler<ScheduleState> {
  checkEta('bohb', eta)
  for (const [name, share] of Object.entries({ randomShare, share: density.share ?? 0 })) {
    if (!(share >= 0 && share <= 1)) throw new RangeError(`bohb: ${name} must be from 0 to 1, not ${share}`)
  }
  const source: Source = (view, request) => {
    if (request.random.uniform() >= randomShare) {
      for (const seen of seenByLevel(view, levelsOf(view.resource!, eta).length).toReversed()) {
        const observations = seen.map(({ trial, loss }) => ({ point: trial.point, loss }))
        const point = densityProposal(view.space, observations, request.random, density)
        if (point !== null) return { kind: 'trial', point }
      }
    }
    return randomSearch().propose(view, { ...request, state: null })
  }
  return schedule('bohb', source, ({ resource }) => hyperbandPlan(resource!, eta, sizes, rounds), true)
}
