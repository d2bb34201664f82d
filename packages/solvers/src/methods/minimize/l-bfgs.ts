import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'

/** How many pairs are remembered. */
const memory = 10

interface Pair {
  readonly s: Float64Array
  readonly y: Float64Array
  /** 1 / yᵀs. */
  readonly rho: number
}

/**
 * Limited-memory BFGS with the recursion of two loops: J. Nocedal, Updating quasi-Newton matrices with limited storage, Mathematics of
 * Computation 35 (1980); D. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization, Mathematical Programming
 * 45 (1989). H is never formed: it is what the last ten pairs s = x' - x, y = g' - g make of the matrix (sᵀy/yᵀy) I.
 */
export const lbfgs: Minimizer = {
  name: 'l-bfgs',
  title: 'L-BFGS',
  paper: 'Nocedal 1980; Liu and Nocedal 1989',
  takes: { bounds: false },
  *solve(problem, start, tolerances) {
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let g = problem.gradient(x, value)
    let pairs: Pair[] = []
    yield { point: x, value, residual: maximumNorm(g), step: 0, evaluations: problem.evaluations }
    while (!(maximumNorm(g) <= tolerances.gradient)) {
      const direction = scaled(-1, product(pairs, g))
      const first = pairs.length === 0 ? Math.min(1, 1 / norm(g)) : 1
      const found = wolfe(problem, { x, value, gradient: g, direction, previous: value, first, decrease: 1e-3 })
      if (!found) {
        if (pairs.length === 0) return noLowerPoint
        // What is remembered may be of another region: begin anew with the gradient.
        pairs = []
        continue
      }
      const s = plus(found.point, -1, x)
      const y = plus(found.gradient, -1, g)
      const previous = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      yield { point: x, value, residual: maximumNorm(g), step: norm(s), evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step: norm(s), endless: found.endless, residual: maximumNorm(g) })
      if (end) return end
      if (dot(s, y) > Number.EPSILON * dot(y, y)) pairs = [...pairs.slice(1 - memory), { s, y, rho: 1 / dot(s, y) }]
    }
    return { kind: 'converged', test: 'gradient' }
  },
}

/** H g. */
function product(pairs: readonly Pair[], g: Float64Array): Float64Array {
  const last = pairs.at(-1)
  if (!last) return g
  let q = g
  const alphas: number[] = []
  for (const { s, y, rho } of pairs.toReversed()) {
    const alpha = rho * dot(s, q)
    alphas.push(alpha)
    q = plus(q, -alpha, y)
  }
  let r = scaled(1 / (last.rho * dot(last.y, last.y)), q)
  for (const { s, y, rho } of pairs) r = plus(r, alphas.pop()! - rho * dot(y, r), s)
  return r
}
