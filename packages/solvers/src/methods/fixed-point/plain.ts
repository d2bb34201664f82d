import type { EquationMethod } from '../../method.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'

/** Applies the map again and again: converges where it brings any two points nearer by a factor, as fast as that factor. */
export const plain: EquationMethod = {
  name: 'plain',
  title: 'The map, again and again',
  paper:
    'S. Banach (1922), Sur les opérations dans les ensembles abstraits et leur application aux équations intégrales',
  takes: { variables: 'any' },
  *solve(problem, start, tolerances) {
    let x = start
    for (let step = 0; ; ) {
      const here = problem.at(x)
      const { residuals, value } = here
      const residual = maximumNorm(residuals)
      yield { point: x, value, residual, step, evaluations: problem.evaluations }
      if (residual <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (!Number.isFinite(value)) return { kind: 'failed', reason: problem.reason(here) }
      step = norm(residuals)
      if (step <= tolerances.step * norm(x)) return { kind: 'converged', test: 'step' }
      x = plus(x, 1, residuals)
    }
  },
}
