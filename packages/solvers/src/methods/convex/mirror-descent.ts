import type { ConvexMethod } from '../../convex-problem.ts'
import { plus } from '../../vector.ts'
import { mirrorOf } from './mirror.ts'

/**
 * Mirror descent: steps are made in the dual, ∇Φ(x⁺) = ∇Φ(x) - η g, and brought back into the set by Bregman projection. The mean of the iterates
 * is within R G / √t of the minimum (theorem 4.2, R² / 2 the largest divergence from the start, η = R / (G √t)): on the
 * simplex with the entropy G √(2 log n / t), G of the maximum norm. t is the limit of iterations. The residual is that bound, with the longest
 * subgradient so far for G where that is not given: R² / (2 η k) + η Σ |g|² / (2 k).
 */
export const mirrorDescent: ConvexMethod = {
  name: 'mirrorDescent',
  title: 'Mirror descent',
  paper:
    'A. Nemirovski, D. Yudin (1983); S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 4.2',
  *solve(problem, start, settings) {
    const mirror = mirrorOf(problem, start, settings)
    let [x, mean, longest, squares] = [start, start, settings.lipschitz ?? 0, 0]
    for (let k = 1; ; k++) {
      const gradient = problem.gradient(x)
      const length = mirror.dualNorm(gradient)
      if (settings.lipschitz === undefined) longest = Math.max(longest, length)
      squares += length * length
      mean = mean.map((element, i) => element + (x[i]! - element) / k)
      const step = mirror.radius / ((longest || 1) * Math.sqrt(settings.iterations))
      const residual = (mirror.radius ** 2 / step + step * squares) / (2 * k)
      yield { point: mean, value: problem.value(mean), residual: length === 0 ? 0 : residual }
      if (length === 0) {
        yield { point: x, value: problem.value(x), residual: 0 }
        return { kind: 'converged', test: 'subgradient' }
      }
      if (residual <= settings.tolerance) return { kind: 'converged', test: 'residual' }
      x = mirror.from(plus(mirror.to(x), -step, gradient))
    }
  },
}
