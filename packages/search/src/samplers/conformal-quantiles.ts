import { wholeFrom } from '../check.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import { violation } from '../study/view.ts'
import { conformalize } from './parts/quantile-trees.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** How conformal quantiles are used. */
export interface ConformalQuantilesOptions {
  /** Complete trials before which points are drawn evenly. Default: 20. */
  readonly startup?: number
  /** How many points are drawn evenly, of which one is taken. Default: 500. */
  readonly candidates?: number
  /** Newest complete trials that quantiles are fitted to at most. Default: 300. */
  readonly largest?: number
}

const lows = [0.1, 0.2, 0.3, 0.4]

/** Share of the trials that calibrate. */
const calibrating = 0.25

/**
 * Quantiles of the loss by boosted trees with conformal correction, and Thompson sampling among them (Salinas et al. 2023, Optimizing
 * Hyperparameters with Conformal Quantile Regression, arXiv 2305.03623): for each of many points one of the quantiles is drawn, and the
 * point with the smallest is proposed. Makes no assumption on how the loss is distributed; noise that depends on the point is nothing
 * special. A quarter of the trials, drawn anew for each proposal, calibrates. Losses count by their rank; trials that violate constraints
 * have the last ranks, by what they violate. Trials that run are not weighed: the draws differ.
 *
 * @throws RangeError for options out of their range
 */
export function conformalQuantiles({
  startup = 20,
  candidates = 500,
  largest = 300,
}: ConformalQuantilesOptions = {}): Sampler<null> {
  for (const [name, value] of Object.entries({ startup, candidates, largest })) {
    const least = name === 'candidates' ? 1 : 8
    wholeFrom('conformalQuantiles', name, value, least)
  }
  const first = randomSearch()
  return {
    name: 'conformalQuantiles',
    propose(view, request) {
      const { space, ended } = view
      const { random } = request
      const complete = ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) return first.propose(view, request)
      const shuffled = random.shuffle(complete.slice(-largest))
      const ordered = shuffled.toSorted((a, b) => {
        const [key, other] = [a, b].map((trial) => [violation(trial), trial.losses![0]!])
        const place = key![0] === other![0] ? 1 : 0
        return key![place] === other![place] ? 0 : key![place]! - other![place]!
      })
      const ranks = new Map(ordered.map((trial, rank) => [trial, rank / ordered.length]))
      const held = Math.ceil(calibrating * shuffled.length)
      const part = (trials: typeof shuffled) => ({
        rows: trials.map(({ point }) => featuresOf(space, point)),
        targets: trials.map((trial) => ranks.get(trial)!),
      })
      const quantilesAt = conformalize(part(shuffled.slice(held)), part(shuffled.slice(0, held)), lows)
      let chosen: Point | undefined
      let smallest = Infinity
      for (let candidate = 0; candidate < candidates; candidate++) {
        const point = space.fromCube(space.dimensions.map(() => random.uniform()))
        const value = random.pick(quantilesAt(featuresOf(space, point)))
        if (chosen !== undefined && value >= smallest) continue
        chosen = point
        smallest = value
      }
      return { kind: 'trial', point: chosen! }
    },
  }
}

/** Coordinates of numbers, choices one-hot; a dimension that does not exist is before all values. */
function featuresOf(space: Space, point: Point): number[] {
  return space.dimensions.flatMap(({ domain }, index) => {
    const coordinate = point[index] ?? null
    if (domain.kind !== 'choice') return [coordinate ?? -1]
    return domain.values.map((_, value) => (coordinate === null ? -1 : coordinate === value ? 1 : 0))
  })
}
