import { LuDecomposition, Matrix } from 'ml-matrix'
import type { EquationMethod } from '../../method.ts'
import { factorize, stepWithin } from '../../trust-region.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'
import { backtrack } from './backtrack.ts'

/** J p = -F; where J is singular, the shortest p that comes nearest. */
export function newtonStep(columns: readonly Float64Array[], f: Float64Array): Float64Array {
  const n = f.length
  const jacobian = Matrix.zeros(n, n)
  columns.forEach((column, j) => {
    column.forEach((element, i) => {
      jacobian.set(i, j, element)
    })
  })
  const lu = new LuDecomposition(jacobian)
  if (!lu.isSingular()) {
    const p = Float64Array.from(lu.solve(Matrix.columnVector(f.map((element) => -element))).to1DArray())
    if (p.every(Number.isFinite)) return p
  }
  return stepWithin(factorize(columns, f), Infinity, 0, 0).p
}

/** Newton's method, which shortens steps that do not decrease the sum of squares; at a zero with a regular Jacobian digits double. */
export const newton: EquationMethod = {
  name: 'newton',
  title: 'Newton, with shortened steps',
  paper:
    'J. E. Dennis, R. B. Schnabel (1983), Numerical Methods for Unconstrained Optimization and Nonlinear Equations',
  takes: { variables: 'any' },
  *solve(problem, start, tolerances) {
    let x = start
    let here = problem.at(x)
    let step = 0
    for (;;) {
      const residual = maximumNorm(here.residuals)
      yield { point: x, value: here.value, residual, step, evaluations: problem.evaluations }
      if (residual <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (!Number.isFinite(here.value)) return { kind: 'failed', reason: problem.reason(here) }
      const columns = problem.jacobian(x, here.residuals)
      if (!columns.every((column) => column.every(Number.isFinite))) {
        return { kind: 'failed', reason: 'jacobian: an element is not finite' }
      }
      const found = backtrack(problem, x, here, newtonStep(columns, here.residuals))
      if (!found) return { kind: 'failed', reason: 'no step along the Newton direction decreases the sum of squares' }
      step = norm(plus(found.point, -1, x))
      x = found.point
      here = found.there
      if (step <= tolerances.step * norm(x)) {
        yield {
          point: x,
          value: here.value,
          residual: maximumNorm(here.residuals),
          step,
          evaluations: problem.evaluations,
        }
        return { kind: 'converged', test: 'step' }
      }
    }
  },
}
