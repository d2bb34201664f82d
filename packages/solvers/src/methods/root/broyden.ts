import { inverse, Matrix } from 'ml-matrix'
import type { EquationMethod } from '../../method.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'
import { backtrack } from './backtrack.ts'

/**
 * Broyden's first method: the Jacobian is taken once, and then changed by one dyad after each step so that it maps the step to the change of
 * the equations. Its inverse H is kept. Where no step along -H F decreases the sum of squares, the Jacobian is taken anew.
 */
export const broyden: EquationMethod = {
  name: 'broyden',
  title: 'Broyden, first method',
  paper: 'C. G. Broyden (1965), A Class of Methods for Solving Nonlinear Simultaneous Equations',
  takes: { variables: 'any' },
  *solve(problem, start, tolerances) {
    let x = start
    let here = problem.at(x)
    let step = 0
    let h: Float64Array[] | undefined
    let fresh = false
    for (;;) {
      const residual = maximumNorm(here.residuals)
      yield { point: x, value: here.value, residual, step, evaluations: problem.evaluations }
      if (residual <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (!Number.isFinite(here.value)) return { kind: 'failed', reason: problem.reason(here) }
      if (step > 0 && step <= tolerances.step * norm(x)) return { kind: 'converged', test: 'step' }
      let found: ReturnType<typeof backtrack>
      do {
        fresh = h === undefined
        if (h === undefined) {
          const columns = problem.jacobian(x, here.residuals)
          if (!columns.every((column) => column.every(Number.isFinite))) {
            return { kind: 'failed', reason: 'jacobian: an element is not finite' }
          }
          // Of a singular Jacobian, the pseudo-inverse.
          h = inverse(new Matrix(columns.map((column) => [...column])).transpose(), true)
            .to2DArray()
            .map((row) => Float64Array.from(row))
        }
        found = backtrack(
          problem,
          x,
          here,
          Float64Array.from(h, (row) => -dot(row, here.residuals)),
        )
        if (!found) h = undefined
      } while (!found && !fresh)
      if (!found) return { kind: 'failed', reason: 'no step along the Newton direction decreases the sum of squares' }

      // H + (s - H y) sᵀ H / (sᵀ H y)
      const s = plus(found.point, -1, x)
      const y = plus(found.there.residuals, -1, here.residuals)
      const hy = Float64Array.from(h!, (row) => dot(row, y))
      const weight = dot(s, hy)
      if (weight === 0) h = undefined
      else {
        const sh = s.map((_, j) => h!.reduce((sum, row, i) => sum + s[i]! * row[j]!, 0))
        h = h!.map((row, i) => plus(row, (s[i]! - hy[i]!) / weight, sh))
      }
      x = found.point
      here = found.there
      step = norm(s)
    }
  },
}
