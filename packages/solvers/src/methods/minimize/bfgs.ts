import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'

/**
 * The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno, as in J. Nocedal and S. Wright, Numerical Optimization (2006),
 * algorithm 6.1: H approximates the inverse Hessian,
 *
 *     p = -H g,  x' = x + a p with a of the strong Wolfe conditions,
 *     s = x' - x,  y = g' - g,  H' = (I - s yᵀ/yᵀs) H (I - y sᵀ/yᵀs) + s sᵀ/yᵀs.
 *
 * H starts from the identity, as in SciPy. Scaled to yᵀs/yᵀy before the first update, as they advise, it would need a tenth as many steps for 100
 * variables, where L-BFGS does that, and half as many again for few.
 */
export const bfgs: Minimizer = {
  name: 'bfgs',
  title: 'BFGS',
  paper: 'Broyden 1970; Fletcher 1970; Goldfarb 1970; Shanno 1970',
  takes: { bounds: false },
  *solve(problem, start, tolerances) {
    const n = problem.size
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let g = problem.gradient(x, value)
    const H = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)))
    let previous = value + norm(g) / 2
    yield { point: x, value, residual: maximumNorm(g), step: 0, evaluations: problem.evaluations }
    while (!(maximumNorm(g) <= tolerances.gradient)) {
      const p = Float64Array.from(H, (row) => -dot(row, g))
      const found = wolfe(problem, { x, value, gradient: g, direction: p, previous })
      if (!found) return noLowerPoint
      const s = plus(found.point, -1, x)
      const y = plus(found.gradient, -1, g)
      const curvature = dot(y, s)
      previous = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      yield { point: x, value, residual: maximumNorm(g), step: norm(s), evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step: norm(s), endless: found.endless, residual: maximumNorm(g) })
      if (end) return end
      if (!(curvature > 0)) continue
      const Hy = Float64Array.from(H, (row) => dot(row, y))
      const factor = (1 + dot(y, Hy) / curvature) / curvature
      for (let i = 0; i < n; i++) {
        const row = H[i]!
        for (let j = 0; j < n; j++) {
          row[j]! += factor * s[i]! * s[j]! - (Hy[i]! * s[j]! + s[i]! * Hy[j]!) / curvature
        }
      }
    }
    return { kind: 'converged', test: 'gradient' }
  },
}
