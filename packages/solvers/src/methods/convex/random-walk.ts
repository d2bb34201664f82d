import type { ConvexMethod } from '../../convex-problem.ts'
import { Draws } from '../../draws.ts'
import { dot, norm } from '../../vector.ts'
import { boxAround, hitAndRun } from './polytope.ts'

/**
 * A geometric random walk with annealing, for a linear function c · x over a polytope: points are drawn from the density exp(-c · x / T) by hit-and-run, T
 * shrinking by 1 - 1 / √n for each iteration. In the mean c · x is within n T of its minimum (A. Kalai, S. Vempala 2006, lemma 4.1), so
 * that √n log(n R / ε) temperatures do. c is the gradient at the start; a function that is not linear is refused. Begins in the box of radius R
 * around the start, which must be inside the set. The residual is n T.
 */
export const randomWalk: ConvexMethod = {
  name: 'randomWalk',
  title: 'Geometric random walk with annealing',
  paper:
    'A. Kalai, S. Vempala (2006), Simulated Annealing for Convex Optimization; S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 6.7',
  *solve(problem, start, { radius, tolerance, seed }) {
    const draws = new Draws(seed)
    const n = start.length
    const spaces = [...problem.halfSpaces(), ...boxAround(start, radius)]
    const first = problem.value(start)
    const c = problem.gradient(start, first)
    if (norm(c) === 0) {
      yield { point: start, value: first, residual: 0 }
      return { kind: 'converged', test: 'residual' }
    }
    if (spaces.some(({ normal, bound }) => dot(normal, start) > bound)) {
      return { kind: 'failed', reason: 'the start is outside the set' }
    }
    const opposite = Float64Array.from(start, (element, i) => element - radius * Math.sign(c[i]!))
    const promised = first + dot(c, opposite) - dot(c, start)
    if (!(Math.abs(problem.value(opposite) - promised) <= 1e-6 * (Math.abs(first) + Math.abs(promised) + 1))) {
      return { kind: 'failed', reason: 'the objective is not linear' }
    }
    let walkers = Array.from({ length: 10 + 10 * n }, () => start)
    let best = { point: start, value: first }
    const steps = 4 + 2 * n
    for (let temperature = 2 * radius * norm(c) * Math.sqrt(n); ; temperature *= 1 - 1 / Math.sqrt(Math.max(2, n))) {
      for (let step = 0; step < steps; step++) {
        walkers = hitAndRun(spaces, walkers, draws, (from, to, d) => {
          // The density on the chord is exponential; drawn by the inverse of its distribution, from the end where it is largest.
          const rate = dot(c, d) / temperature
          const length = to - from
          const u = draws.uniform()
          const size = Math.abs(rate) * length
          const part = size < 1e-12 ? u : -Math.log1p(u * Math.expm1(-size)) / size
          return rate > 0 ? from + part * length : to - part * length
        })
      }
      for (const point of walkers) {
        const value = first + dot(c, point) - dot(c, start)
        if (value < best.value) best = { point, value }
      }
      yield { ...best, residual: n * temperature }
      if (n * temperature <= tolerance) return { kind: 'converged', test: 'residual' }
    }
  },
}
