import { lineMinimum } from '../../line-minimum.ts'
import type { Minimizer } from '../../method.ts'
import type { Problem } from '../../problem.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'
import { limits, longestStep } from './l-bfgs-b.ts'

/**
 * The direction set of M. Powell, An efficient method for finding the minimum of a function of several variables without calculating
 * derivatives, The Computer Journal 7 (1964): a minimum along each of n directions, one after the other; the way that they have come
 * together replaces the direction that has gained most, where his test says that the set stays well conditioned.
 */
export const powell: Minimizer = {
  name: 'powell',
  title: 'Powell direction set',
  paper: 'Powell 1964; Brent 1973',
  takes: { bounds: true, withoutGradient: true },
  *solve(problem, start, tolerances) {
    const n = problem.size
    const directions: Float64Array[] = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)),
    )
    const accuracy = Math.max(1e-8, Math.min(1e-3, 100 * tolerances.gradient))
    let x: Float64Array = start
    let value = problem.value(x)
    yield { point: x, value, residual: Infinity, step: 0, evaluations: problem.evaluations }
    for (;;) {
      const [before, highest] = [x, value]
      let [most, index] = [0, 0]
      let endless = false
      for (const [i, direction] of directions.entries()) {
        const last = value
        const found = along(problem, x, value, direction, accuracy)
        ;({ x, value } = found)
        endless ||= found.endless ?? false
        if (last - value > most) [most, index] = [last - value, i]
      }
      const way = plus(x, -1, before)
      const residual = Math.max(maximumNorm(way), highest === value ? 0 : highest - value)
      if (residual > tolerances.gradient && !endless) {
        const [lower, upper] = limits(problem)
        const ahead = problem.value(problem.within(plus(x, Math.min(1, longestStep(x, way, lower, upper)), way)))
        // (F1 - F2 - Δ)² and (F1 - F3)² of his criterion.
        const test = 2 * (highest + ahead - 2 * value) * (highest - value - most) ** 2 - most * (highest - ahead) ** 2
        if (ahead < highest && test < 0) {
          ;({ x, value } = along(problem, x, value, way, accuracy))
          directions[index] = directions[n - 1]!
          directions[n - 1] = way
        }
      }
      yield { point: x, value, residual, step: norm(plus(x, -1, before)), evaluations: problem.evaluations }
      if (endless) return { kind: 'unbounded' }
      if (residual <= tolerances.gradient) return { kind: 'converged', test: 'sweep' }
    }
  },
}

/** The minimum along a direction, within the bounds. */
function along(
  problem: Problem,
  x: Float64Array,
  origin: number,
  direction: Float64Array,
  accuracy: number,
): { x: Float64Array; value: number; endless?: boolean } {
  const [lower, upper] = limits(problem)
  const back = direction.map((element) => -element)
  const point = (step: number): Float64Array => problem.within(plus(x, step, direction))
  const {
    step,
    value,
    endless = false,
  } = lineMinimum({
    value: (length) => problem.value(point(length)),
    origin,
    lower: -longestStep(x, back, lower, upper),
    upper: longestStep(x, direction, lower, upper),
    accuracy,
  })
  return value < origin ? { x: point(step), value, endless } : { x, value: origin }
}
