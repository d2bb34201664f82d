import { wholeFrom } from '../check.ts'
import type { Json } from '../json.ts'
import { size } from '../space/dimension.ts'
import type { View } from '../study/view.ts'
import { agingEvolution } from './aging-evolution.ts'
import { cmaEs } from './cma-es.ts'
import { differentialEvolution } from './differential-evolution.ts'
import { lmMaEs } from './lm-ma-es.ts'
import { nsga2 } from './nsga2.ts'
import { nsga3 } from './nsga3.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import { simulatedAnnealing } from './simulated-annealing.ts'
import { variableLength } from './variable-length.ts'

/** Options of `shiwa`. */
export interface ShiwaOptions {
  /** How many trials there will be. Default: 200. */
  readonly budget?: number
  /** How many are worked on at the same time. Default: 1. */
  readonly parallel?: number
  /** Whether the same parameters give different losses. Default: no. */
  readonly noisy?: boolean
}

/**
 * Chooses a sampler by what is known beforehand: dimension, budget, noise, parallelism and the kinds of parameters (Liu, Moreau, Preuss,
 * Rapin, Roziere, Teytaud, Teytaud 2020, Versatile Black-Box Optimization, arXiv 2004.14014). The rules are `choiceOf`'s.
 *
 * @throws RangeError for a budget or parallel below 1
 */
export function shiwa(options: ShiwaOptions = {}): Sampler {
  const { noisy = false } = options
  const budget = wholeFrom('shiwa', 'budget', options.budget ?? 200, 1)
  const parallel = wholeFrom('shiwa', 'parallel', options.parallel ?? 1, 1)
  return {
    name: 'shiwa',
    severalObjectives: true,
    propose: (view, request) => choiceOf(view, { budget, parallel, noisy }).propose(view, request),
  }
}

/**
 * The sampler for a study:
 *
 * - several objectives: `nsga2` for two, `nsga3` for more;
 * - half of the budget or more at the same time: `randomSearch`, because nothing could be learned;
 * - most parameters exist only under variants: `variableLength`;
 * - no numbers, or more choices than numbers: `agingEvolution`, without noise and with less than 50 trials `simulatedAnnealing`;
 * - noise: `cmaEs` with adapted learning rates;
 * - 200 numbers and more: `lmMaEs`; more workers than a generation of `cmaEs` has: `differentialEvolution`;
 * - otherwise `cmaEs`, separable when the budget is below 10 trials for each number, with `bipop` restarts from 100 for each.
 */
export function choiceOf(
  { space, objectives }: Pick<View, 'space' | 'objectives'>,
  options: Required<ShiwaOptions>,
): Sampler<Json> {
  const { budget, parallel, noisy } = options
  const free = space.dimensions.filter(({ domain }) => size(domain) > 1)
  const numbers = free.filter(({ domain }) => domain.kind !== 'choice').length
  const conditional = free.filter(({ condition }) => condition !== null).length
  if (objectives.length > 1) return objectives.length === 2 ? nsga2() : nsga3()
  if (2 * parallel >= budget) return randomSearch()
  if (2 * conditional > free.length) return variableLength()
  if (2 * numbers < free.length || numbers === 0) return budget < 50 && !noisy ? simulatedAnnealing() : agingEvolution()
  if (noisy) return cmaEs({ adaptRates: true })
  if (numbers >= 200) return lmMaEs()
  if (parallel > 4 + 3 * Math.log(numbers)) return differentialEvolution()
  if (budget < 10 * numbers) return cmaEs({ covariance: 'separable' })
  return cmaEs({ restarts: budget >= 100 * numbers ? 'bipop' : 'none' })
}
