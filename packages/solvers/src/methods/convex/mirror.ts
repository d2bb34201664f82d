import type { ConvexProblem, ConvexSettings } from '../../convex-problem.ts'
import { maximumNorm, norm } from '../../vector.ts'

/** What mirror descent and its kin take from the mirror map Φ. */
export interface Mirror {
  /** ∇Φ. */
  to(x: Float64Array): Float64Array
  /** The point of the set nearest, in Bregman divergence, to that with ∇Φ = θ. */
  from(theta: Float64Array): Float64Array
  /** Length of a subgradient in the norm dual to that in which Φ is 1-strongly convex. */
  dualNorm(gradient: Float64Array): number
  /** Bound of √(2 (max Φ - Φ(start))) over the set, or of where the minimum is. */
  readonly radius: number
}

/**
 * @throws RangeError for an entropy with a start that is not inside the simplex, or with a projection, which would not be that of the entropy.
 */
export function mirrorOf(problem: ConvexProblem, start: Float64Array, { mirror, radius }: ConvexSettings): Mirror {
  if (mirror === 'euclidean') {
    return { to: (x) => x.slice(), from: (theta) => problem.project(theta), dualNorm: norm, radius }
  }
  const sum = start.reduce((all, element) => all + element, 0)
  if (start.some((element) => !(element > 0)) || Math.abs(sum - 1) > 1e-9) {
    throw new RangeError(`start: its elements must be above 0 and add up to 1 for the entropy, not to ${sum}`)
  }
  return {
    to: (x) => x.map((element) => Math.log(element)),
    from: (theta) => {
      const most = theta.reduce((top, element) => Math.max(top, element), -Infinity)
      const weights = theta.map((element) => Math.exp(element - most))
      const total = weights.reduce((all, weight) => all + weight, 0)
      return weights.map((weight) => weight / total)
    },
    dualNorm: maximumNorm,
    radius: Math.sqrt(2 * Math.max(...start.map((element) => -Math.log(element)), 0)),
  }
}
