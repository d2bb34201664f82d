import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'

/**
 * Newton's method with directions from conjugate gradients, which needs products with the Hessian only: J. Nocedal and S. Wright, Numerical
 * Optimization (2006), algorithm 7.1 (line search Newton-CG); the residual of the inner system is let to
 * min(1/2, √|g|₁) |g|₁, as R. Dembo and T. Steihaug, Truncated-Newton algorithms for large-scale unconstrained optimization (1983), which
 * makes the convergence superlinear. Where a direction of negative curvature turns up, the iterations stop at what they have.
 */
export const newtonCg: Minimizer = {
  name: 'newton-cg',
  title: 'Newton with conjugate gradients',
  paper: 'Dembo and Steihaug 1983',
  takes: { bounds: false },
  *solve(problem, start, tolerances) {
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let before = value
    let g = problem.gradient(x, value)
    yield { point: x, value, residual: maximumNorm(g), step: 0, evaluations: problem.evaluations }
    while (!(maximumNorm(g) <= tolerances.gradient)) {
      const { direction } = newtonDirection((d) => problem.hessianProduct(x, d, g), g)
      const line = { x, value, gradient: g, direction, previous: before }
      const found = wolfe(problem, line) ?? wolfe(problem, { ...line, direction: scaled(-1, g) })
      if (!found) return noLowerPoint
      const step = norm(plus(found.point, -1, x))
      before = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      yield { point: x, value, residual: maximumNorm(g), step, evaluations: problem.evaluations }
      const end = ending({ x, value, previous: before, step, endless: found.endless, residual: maximumNorm(g) })
      if (end) return end
    }
    return { kind: 'converged', test: 'gradient' }
  },
}

/** An approximate solution d of H d = -g that goes down. */
export function newtonDirection(
  product: (direction: Float64Array) => Float64Array,
  g: Float64Array,
): {
  readonly direction: Float64Array /** Whether negative curvature has ended the iterations. */
  readonly curved: boolean
} {
  const length = g.reduce((sum, element) => sum + Math.abs(element), 0)
  const enough = Math.min(0.5, Math.sqrt(length)) * length
  let d: Float64Array = new Float64Array(g.length)
  let r = g
  let p = scaled(-1, r)
  let squares = dot(r, r)
  for (
    let count = 0;
    count < 20 * g.length && r.reduce((sum, element) => sum + Math.abs(element), 0) > enough;
    count++
  ) {
    const Hp = product(p)
    const curvature = dot(p, Hp)
    if (!(curvature > 3 * Number.EPSILON * dot(p, p))) {
      if (count > 0) return { direction: d, curved: true }
      // Steepest descent; as far as the curvature says where it says anything.
      const known = curvature < 0 && Number.isFinite(curvature)
      return { direction: known ? scaled(squares / -curvature, p) : p, curved: true }
    }
    const alpha = squares / curvature
    d = plus(d, alpha, p)
    r = plus(r, alpha, Hp)
    const next = dot(r, r)
    p = plus(scaled(-1, r), next / squares, p)
    squares = next
  }
  return { direction: d, curved: false }
}
