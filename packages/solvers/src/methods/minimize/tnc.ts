import { endings, noLowerPoint } from '../../ends.ts'
import type { Minimizer } from '../../method.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'
import { limits, projectedGradient } from './l-bfgs-b.ts'
import { newtonDirection } from './newton-cg.ts'

/** Share of the decrease that the slope promises. */
const decrease = 1e-4
const mostTrials = 60

/**
 * Truncated Newton within bounds: S. Nash, Newton-type minimization via the Lanczos method (1984), with the working set and the projected
 * search of D. Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM Journal on Control and
 * Optimization 20 (1982). Variables that are at a bound, or nearly, and would leave stay; over the others a direction comes from conjugate
 * gradients; the first of the points P(x + 2⁻ᵏ d) that decreases enough is taken. SciPy's method of the name goes along straight lines
 * to the next bound instead, and scales the variables.
 */
export const tnc: Minimizer = {
  name: 'tnc',
  title: 'Truncated Newton within bounds',
  paper: 'Nash 1984; Bertsekas 1982',
  takes: { bounds: true },
  *solve(problem, start, tolerances) {
    const [lower, upper] = limits(problem)
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let g = problem.gradient(x, value)
    const residual = () => maximumNorm(projectedGradient(x, g, lower, upper))
    yield { point: x, value, residual: residual(), step: 0, evaluations: problem.evaluations }
    while (!(residual() <= tolerances.gradient)) {
      const near = Math.min(1e-3, norm(projectedGradient(x, g, lower, upper)))
      const held = g.map((slope, i) => {
        const atLower = slope > 0 && x[i]! <= lower[i]! + Math.min(near, (upper[i]! - lower[i]!) / 2)
        const atUpper = slope < 0 && x[i]! >= upper[i]! - Math.min(near, (upper[i]! - lower[i]!) / 2)
        return atLower || atUpper ? 1 : 0
      })
      const free = (vector: Float64Array) => vector.map((element, i) => (held[i] ? 0 : element))
      const reduced = free(g)
      const { direction: newton, curved } = newtonDirection((d) => free(problem.hessianProduct(x, d, g)), reduced)
      const downhill = reduced.some((element) => element !== 0) && dot(newton, reduced) < 0
      // What is held goes along its own slope, so that a bound that is nearly reached is reached.
      const full = (vector: Float64Array) => vector.map((element, i) => (held[i] ? -g[i]! : element))
      let found: { point: Float64Array; value: number; steep: boolean } | undefined
      for (const direction of [
        full(downhill ? newton : reduced.map((element) => -element)),
        g.map((slope) => -slope),
      ]) {
        for (let [step, trials] = [1, 0]; trials < mostTrials && !found; trials++) {
          const point = problem.within(plus(x, step, direction))
          const promised = dot(g, plus(point, -1, x))
          const there = promised < 0 ? problem.value(point) : Infinity
          const noise = Number.isFinite(value) ? 2 * Number.EPSILON * Math.abs(value) : 0
          if (there <= value + decrease * promised + noise) {
            found = { point, value: there, steep: trials === 0 && there <= value + 0.9 * promised }
          }
          step *= Number.isFinite(there) ? 0.5 : 0.1
        }
        // Negative curvature says nothing of how far to go: on, where the whole step gains what its slope promises.
        for (let step = 2; found?.steep && curved && step < 2 ** 20; step *= 2) {
          const point = problem.within(plus(x, step, direction))
          const there = problem.value(point)
          if (!(there < found.value)) break
          found = { point, value: there, steep: true }
        }
        if (found) break
      }
      if (!found) return noLowerPoint
      const step = norm(plus(found.point, -1, x))
      const previous = value
      ;({ point: x, value } = found)
      g = problem.gradient(x, value)
      yield { point: x, value, residual: residual(), step, evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step, residual: residual() })
      if (end) return end
    }
    return { kind: 'converged', test: 'gradient' }
  },
}
