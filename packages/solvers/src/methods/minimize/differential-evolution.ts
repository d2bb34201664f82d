import { Draws } from '../../draws.ts'
import type { Minimizer } from '../../method.ts'
import { maximumNorm, norm, plus } from '../../vector.ts'
import { lbfgsb, limits } from './l-bfgs-b.ts'

/** Members for each variable. */
const perVariable = 15
const crossover = 0.7
const mostGenerations = 1000
/** Where the standard deviation of the values is this share of their mean, the population is one. */
const collapsed = 0.01

/**
 * R. Storn and K. Price, Differential evolution: a simple and efficient heuristic for global optimization over continuous spaces, Journal of
 * Global Optimization 11 (1997), as SciPy sets it up (best1bin): a member's rival is
 *
 *     best + F (a - b),  F uniform in [0.5, 1) anew in each generation,
 *
 * for two other members a and b, of which each element is taken with probability 0.7, and one always. What leaves the bounds is drawn anew.
 * The population of 15 n begins as a Latin hypercube with the start in it, and L-BFGS-B has the last word where the values have become one.
 */
export const differentialEvolution: Minimizer = {
  name: 'differential-evolution',
  title: 'Differential evolution',
  paper: 'Storn and Price 1997',
  takes: { bounds: true, needsBounds: true, global: true },
  *solve(problem, start, tolerances, seed) {
    const n = problem.size
    const [lower, upper] = limits(problem)
    const random = new Draws(seed)
    const count = Math.max(5, perVariable * n)
    const strata = Array.from({ length: n }, () => random.permutation(count))
    const drawn = (i: number, from: number, width: number) =>
      lower[i]! + (from + width * random.uniform()) * (upper[i]! - lower[i]!)
    const points = Array.from({ length: count }, (_, k) =>
      k === 0 ? start : start.map((_, i) => drawn(i, strata[i]![k]! / count, 1 / count)),
    )
    const values = [problem.value(start)]
    yield { point: start, value: values[0]!, residual: Infinity, step: 0, evaluations: problem.evaluations }
    for (const point of points.slice(1)) values.push(problem.value(point))
    let best = values.indexOf(Math.min(...values))
    for (let generation = 0; ; generation++) {
      const spread = deviation(values)
      const before = points[best]!
      if (spread <= Math.max(tolerances.gradient, collapsed * Math.abs(mean(values)))) break
      if (generation === mostGenerations) return { kind: 'limit', of: 'iterations' }
      const scale = 0.5 + random.uniform() / 2
      for (let k = 0; k < count; k++) {
        const [a, b] = two(random, count, k)
        const always = random.below(n)
        const trial = points[k]!.map((element, i) => {
          if (i !== always && random.uniform() >= crossover) return element
          const mutated = points[best]![i]! + scale * (points[a]![i]! - points[b]![i]!)
          return mutated >= lower[i]! && mutated <= upper[i]! ? mutated : drawn(i, 0, 1)
        })
        const value = problem.value(trial)
        if (value <= values[k]!) {
          points[k] = trial
          values[k] = value
          if (value < values[best]!) best = k
        }
      }
      const step = norm(plus(points[best]!, -1, before))
      yield { point: points[best]!, value: values[best]!, residual: spread, step, evaluations: problem.evaluations }
      if (values[best] === -Infinity) return { kind: 'unbounded' }
    }
    const end = yield* lbfgsb.solve(problem, points[best]!, tolerances, seed)
    return end.kind === 'failed' ? { kind: 'converged', test: 'population' } : end
  },
}

/** Two members that are neither k nor the same. */
function two(random: Draws, count: number, k: number): [number, number] {
  const a = (k + 1 + random.below(count - 1)) % count
  for (;;) {
    const b = (k + 1 + random.below(count - 1)) % count
    if (b !== a) return [a, b]
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value / values.length, 0)
}

/** The standard deviation; infinite where a value is. */
function deviation(values: readonly number[]): number {
  const centre = mean(values)
  if (!Number.isFinite(centre)) return values.every((value) => value === values[0]) ? 0 : Infinity
  const differences = Float64Array.from(values, (value) => value - centre)
  return maximumNorm(differences) === 0 ? 0 : norm(differences) / Math.sqrt(values.length)
}
