import type { EquationMethod } from '../../method.ts'
import { factorize, stepWithin } from '../../trust-region.ts'
import { maximumNorm, norm, plus, scaled } from '../../vector.ts'

/**
 * Anderson mixing: x + mixing F - (dX + mixing dF) gamma, where gamma minimizes |F - dF gamma| over the last differences of points and
 * residuals. On linear equations with all differences kept it is as good as GMRES, one iteration behind (H. F. Walker and P. Ni 2011, Anderson
 * Acceleration for Fixed-Point Iterations).
 *
 * Where residuals are not finite, the step is halved and the differences are forgotten.
 */
export const anderson: EquationMethod = {
  name: 'anderson',
  title: 'Anderson mixing',
  paper: 'D. G. Anderson (1965), Iterative Procedures for Nonlinear Integral Equations',
  takes: { variables: 'any' },
  *solve(problem, start, tolerances, { memory = 5, mixing = 1 }) {
    let x = start
    let here = problem.at(x)
    let moved = 0
    const points: Float64Array[] = []
    const residuals: Float64Array[] = []
    for (;;) {
      const residual = maximumNorm(here.residuals)
      yield { point: x, value: here.value, residual, step: moved, evaluations: problem.evaluations }
      if (residual <= tolerances.residual) return { kind: 'converged', test: 'residual' }
      if (!Number.isFinite(here.value)) return { kind: 'failed', reason: problem.reason(here) }
      if (moved > 0 && moved <= tolerances.step * norm(x)) return { kind: 'converged', test: 'step' }

      const f = here.residuals
      let step: Float64Array = f.map((element) => mixing * element)
      if (residuals.length > 0) {
        // Of unit length, so that the latest and shortest count as much as the others.
        const lengths = residuals.map((difference) => norm(difference) || 1)
        const { p } = stepWithin(
          factorize(
            residuals.map((one, k) => scaled(1 / lengths[k]!, one)),
            f,
          ),
          Infinity,
          0,
          0,
        )
        p.forEach((element, k) => {
          const gamma = -element / lengths[k]!
          step = plus(plus(step, -gamma, points[k]!), -gamma * mixing, residuals[k]!)
        })
      }
      let point = plus(x, 1, step)
      let there = problem.at(point)
      for (let halved = 0; !Number.isFinite(there.value) && halved < 60; halved++) {
        step = step.map((element) => element / 2)
        point = plus(x, 1, step)
        there = problem.at(point)
        points.length = 0
        residuals.length = 0
      }
      if (!Number.isFinite(there.value)) return { kind: 'failed', reason: problem.reason(there) }
      points.push(plus(point, -1, x))
      residuals.push(plus(there.residuals, -1, f))
      if (points.length > memory) {
        points.shift()
        residuals.shift()
      }
      moved = norm(step)
      x = point
      here = there
    }
  },
}
