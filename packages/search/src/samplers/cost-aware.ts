import type { Point } from '../space/dimension.ts'
import type { SeenTrial, View } from '../study/view.ts'
import { logExpectedImprovement } from './gaussian-process.ts'
import { bayesian, type Learned, modelOf, type ProcessOptions, scaledBy } from './parts/bayesian.ts'
import type { Sampler } from './sampler.ts'

/** How cost-aware search works. */
export interface CostAwareOptions extends ProcessOptions {
  /**
   * By how much a value has to be better that costs ten times as much, in the unit of the value: `value + price log10(cost)` is to become
   * small, or `value - price log10(cost)` large. Default: 0, only the value counts in the end.
   */
  readonly price?: number
}

/**
 * Bayesian optimization that trades the quality of an outcome against what it costs, such as the time of a training (Wang, Dernoncourt and
 * Bui 2020, Bayesian Optimization for Selecting Efficient Machine Learning Models, arXiv 2008.00386): a Gaussian process of the logarithm of
 * the cost beside the one of the value. Proposes the largest expected improvement of the trade for what the trial is expected to cost
 * (Snoek, Larochelle and Adams 2012, Practical Bayesian Optimization of Machine Learning Algorithms, section 3.2):
 * log EI(x) - E[log cost(x)].
 *
 * Costs are those that the objective tells, above 0; while fewer than two trials have one it is `gaussianProcess`, as it is in everything
 * else.
 *
 * @throws RangeError for options out of their range
 */
export function costAware({ price = 0, ...options }: CostAwareOptions = {}): Sampler<null> {
  if (!(price >= 0 && price < Infinity)) throw new RangeError(`costAware: price must be a number from 0, not ${price}`)
  const traded = (trial: SeenTrial): SeenTrial => {
    if (trial.losses === null || !hasCost(trial)) return trial
    return { ...trial, losses: [trial.losses[0]! + price * Math.log10(trial.cost!)] }
  }
  const seenAs = (view: View): View => (price === 0 ? view : { ...view, ended: view.ended.map(traded) })
  return bayesian(
    'costAware',
    options,
    (learned) => {
      const logCost = logCostOf(learned)
      return (point) => logExpectedImprovement(learned.model.predict(point), learned.best) - logCost(point)
    },
    seenAs,
  )
}

const hasCost = ({ cost }: SeenTrial) => cost !== null && cost > 0 && cost < Infinity

/** What the logarithm of the cost is expected to be. */
function logCostOf({ space, trials }: Learned): (point: Point) => number {
  const priced = trials.filter(hasCost)
  if (priced.length < 2) return () => 0
  const { values, scale, mean } = scaledBy(priced.map(({ cost }) => Math.log(cost!)))
  const { model } = modelOf(
    space,
    priced.map(({ point }) => point),
    values,
    [],
  )
  return (point) => mean + scale * model.predict(point).mean
}
