import type { LeastSquaresMethod } from '../../method.ts'
import { factorize, stepWithin } from '../../trust-region.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'

/** Relative error allowed for the length of a step (sigma in the paper). */
const lengthTolerance = 0.1
/** A step is taken where the decrease is at least this share of what the model promised. */
const leastRatio = 1e-4

/**
 * Levenberg and Marquardt's method, in a trust region that is an ellipsoid |D p| at most Delta: p minimizes |f + J p| in it. D has the
 * largest norm that each column of J has had so far, so that the units of variables do not matter.
 *
 * Deviation: the linear problem is solved by a triangle and its singular values instead of a pivoted QR for each multiplier; steps agree but
 * for rounding. Under a loss, J and f are weighted.
 */
export const levenbergMarquardt: LeastSquaresMethod = {
  name: 'levenbergMarquardt',
  title: 'Levenberg and Marquardt, in a trust region',
  paper: 'J. J. Moré (1978), The Levenberg-Marquardt algorithm: implementation and theory',
  takes: { bounds: false },
  *solve(problem, start, tolerances, { scale, radius: firstRadius = 1 }) {
    let x = start
    let here = problem.at(x)
    if (!Number.isFinite(here.value)) return { kind: 'failed', reason: problem.reason(here) }
    let d = new Float64Array(0)
    let radius = 0
    let multiplier = 0
    let length = 0
    for (;;) {
      const model = problem.model(x, here)
      const { columns, residuals, gradient } = model
      yield {
        point: x,
        value: here.value,
        residual: maximumNorm(gradient),
        step: length,
        evaluations: problem.evaluations,
      }
      const norms = Float64Array.from(columns, norm)
      if (!norms.every(Number.isFinite)) return { kind: 'failed', reason: 'jacobian: an element is not finite' }
      if (d.length === 0) {
        d = scale ? scale.map((element) => 1 / element) : norms.map((element) => element || 1)
        radius = firstRadius * (norm(x.map((element, j) => element * d[j]!)) || 1)
      } else if (!scale) d = d.map((element, j) => Math.max(element, norms[j]!))

      // The cosine of the angle between the residuals and each column. Under a loss weighted residuals can be huge, and say nothing.
      const size = Math.sqrt(2 * here.value)
      const cosines = gradient.map((element, j) => (element === 0 ? 0 : element / norms[j]! / size))
      if (maximumNorm(cosines) <= tolerances.gradient) return { kind: 'converged', test: 'gradient' }
      const scaled = columns.map((column, j) => column.map((element) => element / d[j]!))
      const factors = factorize(scaled, residuals)

      for (let taken = false; !taken; ) {
        const { p: q, multiplier: alpha } = stepWithin(factors, radius, multiplier, lengthTolerance)
        multiplier = alpha
        const p = q.map((element, j) => element / d[j]!)
        const far = norm(q)
        if (length === 0) radius = Math.min(radius, far)
        const point = plus(x, 1, p)
        const there = problem.at(point)
        const actual = here.value - there.value
        // |J p|² and alpha |D p|² make up both the decrease of the model and the slope along p.
        const slope = dot(gradient, p)
        const promised = -(slope - multiplier * far * far) / 2
        const ratio = promised > 0 ? actual / promised : 0

        const relative = here.value > 0 ? promised / here.value : 0
        if (ratio <= 0.25) {
          let shrink = actual >= 0 ? 0.5 : (0.5 * slope) / (slope + actual)
          if (!(there.value < 100 * here.value) || !(shrink >= 0.1)) shrink = 0.1
          radius = shrink * Math.min(radius, far / 0.1)
          multiplier /= shrink
        } else if (multiplier === 0 || ratio >= 0.75) {
          radius = far / 0.5
          multiplier /= 2
        }
        if (ratio >= leastRatio) {
          taken = true
          length = norm(p)
        }
        const small = Math.abs(actual) <= tolerances.value * here.value && relative <= tolerances.value && ratio <= 2
        const rounding = Math.abs(actual) <= Number.EPSILON * here.value && relative <= Number.EPSILON && ratio <= 2
        const end = taken ? point : x
        const extent = norm(end.map((element, j) => element * d[j]!))
        const test =
          small || rounding ? 'value' : radius <= Math.max(tolerances.step, Number.EPSILON) * extent ? 'step' : ''
        if (taken) {
          x = point
          here = there
        }
        if (test !== '') {
          if (taken) {
            const { gradient: last } = problem.model(x, here)
            yield {
              point: x,
              value: here.value,
              residual: maximumNorm(last),
              step: length,
              evaluations: problem.evaluations,
            }
          }
          return { kind: 'converged', test }
        }
      }
    }
  },
}
