import type { ConvexMethod } from '../../convex-problem.ts'
import { smoothStep } from './smooth-step.ts'

/**
 * Gradient descent, x⁺ = Π(x - ∇f(x) / β). After t steps f is within 2 β |x₁ - x*|² / (t - 1) of its minimum without a set (theorem 3.3), and
 * with strong convexity α the distance shrinks by exp(-t / κ), κ = β / α. The residual is the largest element of the
 * gradient mapping β (x - x⁺).
 */
export const gradientDescent: ConvexMethod = {
  name: 'gradientDescent',
  title: 'Gradient descent',
  paper: 'S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 3.2',
  *solve(problem, start, { smoothness, tolerance }) {
    let [x, value] = [start, problem.value(start) + problem.regularizer(start)]
    for (let beta = smoothness ?? 1; ; ) {
      const step = smoothStep(problem, x, beta, smoothness !== undefined)
      beta = step.smoothness
      yield { point: x, value, residual: step.residual }
      if (step.residual <= tolerance) return { kind: 'converged', test: 'residual' }
      ;[x, value] = [step.point, step.value + problem.regularizer(step.point)]
    }
  },
}
