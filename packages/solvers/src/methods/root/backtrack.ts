import type { Fit, Residuals } from '../../residuals.ts'
import { plus } from '../../vector.ts'

/**
 * Shortens a step until the sum of squares has decreased by a share of what a linear model promises; each length is the minimum of the
 * parabola through what is known, between a tenth and a half of the one before (J. E. Dennis and R. B. Schnabel 1983, Numerical Methods
 * for Unconstrained Optimization and Nonlinear Equations, algorithm A6.3.1). Comes back from where the residuals are not finite.
 *
 * @returns undefined where no such step is found.
 */
export function backtrack(
  problem: Residuals,
  x: Float64Array,
  here: Fit,
  direction: Float64Array,
): { readonly point: Float64Array; readonly there: Fit } | undefined {
  for (let length = 1; length > 1e-12; ) {
    const point = plus(x, length, direction)
    const there = problem.at(point)
    // Along a Newton direction the slope of half the sum of squares is -2 times it.
    if (there.value <= (1 - 2e-4 * length) * here.value) return { point, there }
    const parabola = (here.value * length) / (there.value + (2 * length - 1) * here.value)
    length *= Number.isFinite(there.value) ? Math.min(0.5, Math.max(0.1, parabola)) : 0.1
  }
  return undefined
}
