import type { ConvexMethod } from '../../convex-problem.ts'
import { plus } from '../../vector.ts'
import { smoothStep } from './smooth-step.ts'

/**
 * Nesterov's accelerated gradient descent: a step from x gives y⁺, and x⁺ goes beyond it, x⁺ = y⁺ + γ (y⁺ - y). With strong convexity α,
 * γ = (√κ - 1) / (√κ + 1), and f is within (α + β) / 2 |x₁ - x*|² exp(-(t - 1) / √κ) of its minimum (theorem 3.18); without, γ = (λ - 1) / λ⁺
 * with λ⁺ = (1 + √(1 + 4 λ²)) / 2, and 2 β |x₁ - x*|² / t² (theorem 3.19). The residual is the gradient mapping's at x.
 */
export const acceleratedGradient: ConvexMethod = {
  name: 'acceleratedGradient',
  title: 'Accelerated gradient descent',
  paper: 'S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 3.7',
  *solve(problem, start, { smoothness, strongConvexity, tolerance }) {
    let [x, y, value] = [start, start, problem.value(start) + problem.regularizer(start)]
    let lambda = 1
    for (let beta = smoothness ?? 1; ; ) {
      const step = smoothStep(problem, x, beta, smoothness !== undefined)
      beta = step.smoothness
      yield { point: y, value, residual: step.residual }
      if (step.residual <= tolerance) {
        const total = step.value + problem.regularizer(step.point)
        yield { point: step.point, value: total, residual: step.residual }
        return { kind: 'converged', test: 'residual' }
      }
      const next = (1 + Math.sqrt(1 + 4 * lambda * lambda)) / 2
      const root = Math.sqrt(beta / strongConvexity)
      const beyond = strongConvexity > 0 ? (root - 1) / (root + 1) : (lambda - 1) / next
      x = plus(step.point, beyond, plus(step.point, -1, y))
      ;[y, value, lambda] = [step.point, step.value + problem.regularizer(step.point), next]
    }
  },
}
