import type { ConvexMethod } from '../../convex-problem.ts'
import { Draws } from '../../draws.ts'
import { dot, norm } from '../../vector.ts'
import { boxAround, hitAndRun, momentsOf } from './polytope.ts'

/**
 * The centre of gravity method: the body that holds the minimum is cut through its centre by a subgradient, and at least 1 / e of it goes
 * (Grünbaum's lemma), so that f comes within 2 B (1 - 1 / e)^(t / n) of its minimum (theorem 2.1), the best rate that any method has.
 * The centre is the mean of points that walk through the body (D. Bertsimas, S. Vempala 2004, `seed`), since none can compute it. Begins with
 * the box of radius R around the start, cut by the set. The residual is √(n (n + 2)) times the deviation along the subgradient, which from the
 * centre is at least f - f* with the true deviation.
 */
export const centreOfGravity: ConvexMethod = {
  name: 'centreOfGravity',
  title: 'Centre of gravity method',
  paper:
    'A. Levin (1965), D. Newman (1965); S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, sections 2.1 and 6.7',
  *solve(problem, start, { radius, tolerance, seed }) {
    const draws = new Draws(seed)
    const n = start.length
    const spaces = [...problem.halfSpaces(), ...boxAround(start, radius)]
    const count = 20 + 20 * n
    const steps = 4 + 2 * n
    let walkers = Array.from({ length: count }, () => start)
    if (spaces.some(({ normal, bound }) => dot(normal, start) > bound)) {
      return { kind: 'failed', reason: 'the start is outside the set' }
    }
    for (;;) {
      for (let step = 0; step < steps; step++) walkers = hitAndRun(spaces, walkers, draws)
      const { mean, varianceAlong } = momentsOf(walkers)
      const value = problem.value(mean)
      const g = problem.gradient(mean, value)
      const residual = Math.sqrt(n * (n + 2) * varianceAlong(g))
      yield { point: mean, value, residual }
      if (residual <= tolerance || norm(g) === 0) return { kind: 'converged', test: 'residual' }
      const bound = dot(g, mean)
      spaces.push({ normal: g, bound })
      const inside = walkers.filter((x) => dot(g, x) < bound)
      if (inside.length === 0) return { kind: 'failed', reason: 'the body has become too thin to walk in' }
      walkers = walkers.map((x) => (dot(g, x) < bound ? x : inside[draws.below(inside.length)]!))
    }
  },
}
