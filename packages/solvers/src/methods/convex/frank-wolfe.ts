import type { ConvexMethod } from '../../convex-problem.ts'
import { dot, plus } from '../../vector.ts'

/**
 * Frank-Wolfe, or conditional gradient: x⁺ = (1 - γ) x + γ y, y the point of the set with the smallest ∇f(x) · y, γ = 2 / (t + 1). No projection; every
 * iterate is a mixture of at most t + 1 extreme points, and f within 2 β R² / (t + 1) of its minimum (theorem 3.8), R the diameter.
 * The residual is the gap ∇f(x) · (x - y), at least f(x) - f*.
 */
export const frankWolfe: ConvexMethod = {
  name: 'frankWolfe',
  title: 'Frank-Wolfe (conditional gradient)',
  paper:
    'M. Frank, P. Wolfe (1956); S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 3.3',
  *solve(problem, start, { tolerance }) {
    for (let [t, x] = [1, start]; ; t++) {
      const value = problem.value(x)
      const gradient = problem.gradient(x, value)
      const y = problem.linearMinimum(gradient)
      const gap = dot(gradient, plus(x, -1, y))
      yield { point: x, value, residual: gap }
      if (gap <= tolerance) return { kind: 'converged', test: 'residual' }
      const share = 2 / (t + 1)
      x = x.map((element, i) => (1 - share) * element + share * y[i]!)
    }
  },
}
