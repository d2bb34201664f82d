import type { ConvexMethod } from '../../convex-problem.ts'
import { dot, norm } from '../../vector.ts'
import { boxAround, mostViolated } from './polytope.ts'

/**
 * The ellipsoid method: {y : (y - c)ᵀ H⁻¹ (y - c) ≤ 1} always holds the minimum; half of it is cut off through its centre, by a subgradient or by
 * what keeps the centre outside the set, and the smallest ellipsoid around the other half is next. Its volume shrinks by exp(-1 / (2 n)),
 * so that f comes within 2 B R / r exp(-t / (2 n²)) of its minimum (theorem 2.4). Begins with the ball of radius √n R around the start.
 * The residual is √(gᵀ H g), at least f(c) - f*. Deviation: one variable is bisected, where the formulas divide by 0.
 */
export const ellipsoid: ConvexMethod = {
  name: 'ellipsoid',
  title: 'Ellipsoid method',
  paper:
    'A. Nemirovski, D. Yudin (1976), N. Shor (1977); S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 2.2',
  *solve(problem, start, { radius, tolerance }) {
    const n = start.length
    const spaces = [...problem.halfSpaces(), ...boxAround(start, radius)]
    let c = start
    // The ellipsoid is c + B u, |u| ≤ 1: H = B Bᵀ, which stays positive whatever is rounded.
    let B = Array.from({ length: n }, (_, i) => new Float64Array(n).fill(Math.sqrt(n) * radius, i, i + 1))
    for (;;) {
      const outside = mostViolated(spaces, c)
      const value = outside ? Infinity : problem.value(c)
      const g = outside ? outside.normal : problem.gradient(c, value)
      const Bg = new Float64Array(n)
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) Bg[j]! += B[i]![j]! * g[i]!
      const width = norm(Bg)
      yield { point: c, value, residual: outside ? Infinity : width }
      // All of the ellipsoid is beyond one half-space, or flat.
      if (outside && !(dot(g, c) - outside.bound < width)) {
        return { kind: 'failed', reason: 'the set is empty, has no inside, or is not within the radius' }
      }
      if (!outside && width <= tolerance) return { kind: 'converged', test: 'residual' }
      const p = Bg.map((element) => element / width)
      const Bp = Float64Array.from(B, (row) => dot(row, p))
      c = c.map((element, i) => element - Bp[i]! / (n + 1))
      const wider = n === 1 ? 1 : n / Math.sqrt(n ** 2 - 1)
      const thinner = n === 1 ? 1 / 2 : Math.sqrt((n - 1) / (n + 1))
      B = B.map((row, i) => row.map((element, j) => wider * (element + (thinner - 1) * Bp[i]! * p[j]!)))
    }
  },
}
