import type { ConvexMethod } from '../../convex-problem.ts'
import { Draws } from '../../draws.ts'
import { maximumNorm } from '../../vector.ts'

/**
 * Random coordinate descent, RCD(γ): coordinate i is drawn as often as β_i^γ, β_i the smoothness along it, and x_i⁺ = Π(x_i - ∂f/∂x_i / β_i), bounds being
 * the only set it can have. In the mean f is within 2 R² Σ β_i^γ / (t + 3) of its minimum, R in the norm with weights β_i^(1 - γ) over the
 * level set (theorem 6.7); γ is `power`. β_i are found by doubling. Asks for values only, three or so for each step, where the objective has no
 * gradient. The residual is the largest element of the projected gradient, seen once every n steps.
 */
export const coordinateDescent: ConvexMethod = {
  name: 'coordinateDescent',
  title: 'Random coordinate descent',
  paper:
    'Y. Nesterov (2012), Efficiency of Coordinate Descent Methods on Huge-Scale Optimization Problems; S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 6.4',
  *solve(problem, start, { smoothness, power, tolerance, seed }) {
    const draws = new Draws(seed)
    const n = start.length
    const betas = new Float64Array(n).fill(smoothness ?? 1)
    let [x, value] = [start, problem.value(start)]
    const into = (element: number, i: number) =>
      Math.min(problem.upper?.[i] ?? Infinity, Math.max(problem.lower?.[i] ?? -Infinity, element))
    const pick = (): number => {
      const weights = betas.map((beta) => beta ** power)
      let rest = draws.uniform() * weights.reduce((sum, weight) => sum + weight, 0)
      for (let i = 0; i < n; i++) {
        rest -= weights[i]!
        if (rest < 0) return i
      }
      return n - 1
    }
    for (;;) {
      const gradient = problem.gradient(x, value)
      const residual = maximumNorm(gradient.map((slope, i) => x[i]! - into(x[i]! - slope, i)))
      yield { point: x, value, residual }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      let slopes = gradient
      for (let step = 0; step < n; step++) {
        const i = pick()
        if (step > 0) slopes = problem.gradient(x, value)
        for (;;) {
          const next = into(x[i]! - slopes[i]! / betas[i]!, i)
          const move = next - x[i]!
          if (move === 0) break
          const trial = x.slice()
          trial[i] = next
          const there = problem.value(trial)
          const most = value + slopes[i]! * move + (betas[i]! * move * move) / 2
          if (there <= most + 1e-14 * Math.abs(value)) {
            ;[x, value] = [trial, there]
            break
          }
          if (!(betas[i]! < 1e300)) break
          betas[i]! *= 2
        }
      }
    }
  },
}
