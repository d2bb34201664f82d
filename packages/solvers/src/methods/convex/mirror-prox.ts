import type { ConvexMethod } from '../../convex-problem.ts'
import { plus } from '../../vector.ts'
import { mirrorOf } from './mirror.ts'

/**
 * Mirror prox: a mirror step looks ahead, ∇Φ(y') = ∇Φ(x) - ∇f(x) / β, and a second one from the same x takes the gradient found there,
 * ∇Φ(x') = ∇Φ(x) - ∇f(y) / β, both projected. The mean of the y is within β R² / (2 t) of the minimum (theorem 4.4), R² / 2 the largest divergence
 * from the start. Needs `smoothness`, in the norm of the mirror. The residual is that bound.
 */
export const mirrorProx: ConvexMethod = {
  name: 'mirrorProx',
  title: 'Mirror prox',
  paper:
    'A. Nemirovski (2004); S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 4.5',
  *solve(problem, start, settings) {
    const { smoothness, tolerance } = settings
    if (smoothness === undefined) throw new RangeError('smoothness: mirrorProx has to be told it')
    const mirror = mirrorOf(problem, start, settings)
    let [x, mean] = [start, start]
    yield { point: start, value: problem.value(start), residual: Infinity }
    for (let t = 1; ; t++) {
      const gradient = problem.gradient(x)
      if (mirror.dualNorm(gradient) === 0) {
        yield { point: x, value: problem.value(x), residual: 0 }
        return { kind: 'converged', test: 'gradient' }
      }
      const y = mirror.from(plus(mirror.to(x), -1 / smoothness, gradient))
      x = mirror.from(plus(mirror.to(x), -1 / smoothness, problem.gradient(y)))
      mean = mean.map((element, i) => element + (y[i]! - element) / t)
      const residual = (smoothness * mirror.radius ** 2) / (2 * t)
      yield { point: mean, value: problem.value(mean), residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
    }
  },
}
