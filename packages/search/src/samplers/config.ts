import type { Point } from '../space/dimension.ts'
import { checkProcess, type Learned, largestPoint, learn, type ProcessOptions } from './parts/bayesian.ts'
import type { GaussianProcess } from './parts/gaussian-process.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** How CONFIG works. */
export interface ConfigOptions extends ProcessOptions {
  /** By how many deviations a bound is below the mean. Default: 3. */
  readonly confidence?: number
}

/**
 * CONFIG: optimism for expensive constraints on the outcome (Xu, Jiang, Svetozarevic and Jones 2023, Constrained Efficient Global
 * Optimization of Expensive Black-box Functions, arXiv 2211.00162). Proposes the smallest lower bound of the loss among the points whose
 * lower bounds of all constraints are met: argmin { l_0(x) : l_i(x) <= 0 } with l = mean - confidence deviation of a Gaussian process each.
 * What it tries may violate constraints by a little, less as more is known: it comes to their bounds from outside. When there is no such
 * point the problem is declared infeasible: the study ends and says so.
 *
 * The processes are fitted to the trials, so they may be too sure of themselves. A declaration therefore also asks processes whose lengths
 * are half of the fitted ones; where these allow a point, it is proposed. It waits for the trials that are under way. Losses and
 * trials without a result count as in `gaussianProcess`.
 *
 * @throws RangeError for options out of their range
 */
export function configSearch({ confidence = 3, ...options }: ConfigOptions = {}): Sampler<null> {
  if (!(confidence > 0 && confidence < Infinity)) {
    throw new RangeError(`config: confidence must be a number above 0, not ${confidence}`)
  }
  const { startup, largest } = checkProcess('config', options)
  const lowerBound = (model: GaussianProcess) => (point: Point) => {
    const { mean, variance } = model.predict(point)
    return mean - confidence * Math.sqrt(variance)
  }
  return {
    name: 'config',
    propose(view, request) {
      const complete = view.ended.filter(({ state }) => state === 'complete')
      if (complete.length < startup) return randomSearch().propose(view, request)
      const learned = learn(view, largest)
      const loss = lowerBound(learned.model)
      for (const lengths of [1, 0.5]) {
        const excess = excessOf(learned, (model) => lowerBound(lengths === 1 ? model : model.withLengths(lengths)))
        const score = (point: Point) => {
          const over = excess(point)
          return over > 0 ? -beyondLosses - over : -loss(point)
        }
        const point = largestPoint(view, score, learned.around, request.random)
        if (excess(point) <= 0) return { kind: 'trial', point }
        if (view.open.length > 0)
          return { kind: 'wait', reason: 'the trials under way say whether anything is feasible' }
      }
      const reason = `infeasible: at every point some constraint is violated by its lower bound of ${confidence} deviations`
      return { kind: 'end', reason }
    },
  }
}

/** More than a bound of a loss can be, which is in deviations of the losses. */
const beyondLosses = 1e6

/** By how much the bound of the constraint that is furthest from being met is above what is allowed. */
function excessOf(
  { constraints }: Learned,
  boundOf: (model: GaussianProcess) => (point: Point) => number,
): (point: Point) => number {
  const bounds = constraints.map(({ model, bound }) => ({ lower: boundOf(model), bound }))
  return (point) => Math.max(...bounds.map(({ lower, bound }) => lower(point) - bound))
}
