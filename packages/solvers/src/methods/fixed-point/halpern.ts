import type { EquationMethod } from '../../method.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'

/**
 * Halpern's iteration: x_{k+1} = x_0 / (k + 2) + (k + 1) / (k + 2) T(x_k). Where T brings no two points farther apart, |x_k - T(x_k)| is at
 * most 2 |x_0 - x*| / (k + 1), also where applying T alone goes round in circles (F. Lieder 2021, On the convergence rate of the
 * Halpern-iteration).
 */
export const halpern: EquationMethod = {
  name: 'halpern',
  title: 'Halpern, anchored at the start',
  paper: 'B. Halpern (1967), Fixed points of nonexpanding maps',
  takes: { variables: 'any' },
  *solve(problem, start, tolerances) {
    let x = start
    let step = 0
    for (let k = 0; ; k++) {
      const here = problem.at(x)
      const { residuals, value } = here
      const residual = maximumNorm(residuals)
      yield { point: x, value, residual, step, evaluations: problem.evaluations }
      if (residual <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (!Number.isFinite(value)) return { kind: 'failed', reason: problem.reason(here) }
      const next = x.map((element, i) => start[i]! / (k + 2) + ((k + 1) / (k + 2)) * (element + residuals[i]!))
      step = norm(plus(next, -1, x))
      x = next
      if (step <= tolerances.step * norm(x)) {
        const last = problem.at(x)
        const { evaluations } = problem
        yield { point: x, value: last.value, residual: maximumNorm(last.residuals), step, evaluations }
        return { kind: 'converged', test: 'step' }
      }
    }
  },
}
