import type { ConvexProblem } from '../../convex-problem.ts'
import { dot, plus } from '../../vector.ts'

/** What a step from y came to. */
export interface SmoothStep {
  readonly point: Float64Array
  /** Of the smooth part. */
  readonly value: number
  readonly smoothness: number
  /** Largest absolute element of β (y - x⁺): of the gradient, where there is no set and no second part. */
  readonly residual: number
}

/**
 * x⁺ = the proximal point of the projection of y - ∇f(y) / β. Where β is not known it is doubled until
 * f(x⁺) ≤ f(y) + ∇f(y) · (x⁺ - y) + β |x⁺ - y|² / 2, which is all that the proofs take from it.
 */
export function smoothStep(problem: ConvexProblem, y: Float64Array, smoothness: number, known: boolean): SmoothStep {
  const here = known ? 0 : problem.value(y)
  const gradient = problem.gradient(y, known ? undefined : here)
  for (let beta = smoothness; ; beta *= 2) {
    const point = problem.project(problem.prox(plus(y, -1 / beta, gradient), 1 / beta))
    const move = plus(point, -1, y)
    const value = problem.value(point)
    const residual = move.reduce((most, element) => Math.max(most, Math.abs(beta * element)), 0)
    const most = here + dot(gradient, move) + (beta * dot(move, move)) / 2
    if (known || value <= most + 1e-14 * Math.abs(here) || !(beta < 1e300)) {
      return { point, value, smoothness: beta, residual: gradient.every(Number.isFinite) ? residual : Number.NaN }
    }
  }
}
