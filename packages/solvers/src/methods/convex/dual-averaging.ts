import type { ConvexMethod } from '../../convex-problem.ts'
import { plus } from '../../vector.ts'
import { mirrorOf } from './mirror.ts'

/**
 * Dual averaging, lazy mirror descent: x = argmin η Σ g · x + D(x, start), the sum of all subgradients and not the last point being kept. The mean of
 * the iterates is within 2 R G √(2 / t) of the minimum (theorem 4.3). Deviation: η falls as R / (G √k), so that no horizon is needed, which the
 * method of Y. Nesterov (2009) allows. The residual is 2 R G / √k.
 */
export const dualAveraging: ConvexMethod = {
  name: 'dualAveraging',
  title: 'Dual averaging',
  paper:
    'Y. Nesterov (2009), Primal-Dual Subgradient Methods for Convex Problems; S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 4.4',
  *solve(problem, start, settings) {
    const mirror = mirrorOf(problem, start, settings)
    const origin = mirror.to(start)
    let [x, mean, longest] = [start, start, settings.lipschitz ?? 0]
    let sum: Float64Array = new Float64Array(start.length)
    for (let k = 1; ; k++) {
      const gradient = problem.gradient(x)
      const length = mirror.dualNorm(gradient)
      if (settings.lipschitz === undefined) longest = Math.max(longest, length)
      mean = mean.map((element, i) => element + (x[i]! - element) / k)
      const residual = length === 0 ? 0 : (2 * mirror.radius * longest) / Math.sqrt(k)
      yield { point: mean, value: problem.value(mean), residual }
      if (length === 0) {
        yield { point: x, value: problem.value(x), residual: 0 }
        return { kind: 'converged', test: 'subgradient' }
      }
      if (residual <= settings.tolerance) return { kind: 'converged', test: 'residual' }
      sum = plus(sum, 1, gradient)
      x = mirror.from(plus(origin, -mirror.radius / ((longest || 1) * Math.sqrt(k)), sum))
    }
  },
}
