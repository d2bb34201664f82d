import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'

/**
 * Nonlinear conjugate gradients of E. Polak and G. Ribière (1969), with the coefficient kept from below zero as M. Powell (1984) and
 * J. Gilbert and J. Nocedal (1992) advise:
 *
 *     p' = -g' + β p,  β = max(0, g'ᵀ(g' - g) / gᵀg),
 *
 * which is steepest descent anew where β is zero, or where p' does not go down enough. The line search leaves at most
 * 0.3 of the slope; below 1/2 every direction goes down.
 */
export const cg: Minimizer = {
  name: 'cg',
  title: 'Nonlinear conjugate gradients',
  paper: 'Polak and Ribière 1969; Gilbert and Nocedal 1992',
  takes: { bounds: false },
  *solve(problem, start, tolerances) {
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let g = problem.gradient(x, value)
    let p = scaled(-1, g)
    let steepest = true
    let previous = value + norm(g) / 2
    yield { point: x, value, residual: maximumNorm(g), step: 0, evaluations: problem.evaluations }
    while (!(maximumNorm(g) <= tolerances.gradient)) {
      const found = wolfe(problem, { x, value, gradient: g, direction: p, previous, curvature: 0.3 })
      if (!found) {
        if (steepest) return noLowerPoint
        p = scaled(-1, g)
        steepest = true
        continue
      }
      const s = plus(found.point, -1, x)
      const y = plus(found.gradient, -1, g)
      const beta = Math.max(0, dot(found.gradient, y) / dot(g, g))
      previous = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      yield { point: x, value, residual: maximumNorm(g), step: norm(s), evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step: norm(s), endless: found.endless, residual: maximumNorm(g) })
      if (end) return end
      const next = plus(scaled(-1, g), beta, p)
      // A share of what steepest descent would promise; NaN where numbers overflow.
      steepest = !(dot(next, g) <= -0.01 * dot(g, g)) || beta === 0
      p = steepest ? scaled(-1, g) : next
    }
    return { kind: 'converged', test: 'gradient' }
  },
}
