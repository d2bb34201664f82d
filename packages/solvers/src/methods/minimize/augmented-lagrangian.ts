import type { Minimizer } from '../../method.ts'
import { Problem, violation } from '../../problem.ts'
import type { State } from '../../state.ts'
import { norm, plus } from '../../vector.ts'
import { lbfgsb, limits } from './l-bfgs-b.ts'

const largestPenalty = 1e12
const largestMultiplier = 1e20
const mostInner = 1000

/**
 * The method of multipliers of M. Hestenes (1969) and M. Powell (1969), for inequalities R. Rockafellar (1973), with the rules of E. Birgin
 * and J. Martínez, Practical Augmented Lagrangian Methods for Constrained Optimization (2014), algorithm 4.1: L-BFGS-B minimizes
 *
 *     f + ρ/2 Σ (cᵢ - λᵢ/ρ)²  over equalities  + ρ/2 Σ max(0, λᵢ/ρ - cᵢ)²  over inequalities c ≥ 0,
 *
 * λ becomes λ - ρ c, not below zero for inequalities, and ρ ten times as large where the violation has not been halved.
 */
export const augmentedLagrangian: Minimizer = {
  name: 'augmented-lagrangian',
  title: 'Augmented Lagrangian',
  paper: 'Hestenes 1969; Powell 1969; Birgin and Martínez 2014',
  takes: { bounds: true, constraints: true },
  *solve(problem, start, tolerances, seed) {
    if (!problem.hasConstraints) return yield* lbfgsb.solve(problem, start, tolerances, seed)
    const [lower, upper] = limits(problem)
    const bounds = Array.from(lower, (bound, i) => [bound, upper[i]!] as const)
    let x = start
    let c = problem.constraints(x)
    let value = problem.value(x)
    let multipliers = new Float64Array(c.values.length)
    const hurt = c.values.reduce((sum, one, k) => sum + (k < c.equalities || one < 0 ? one * one : 0), 0)
    let penalty = Math.min(10, Math.max(1e-6, (10 * Math.max(1, Math.abs(value))) / Math.max(1, hurt / 2)))
    if (!Number.isFinite(penalty)) penalty = 10
    let before = Infinity
    let accuracy = Math.max(tolerances.gradient, 0.1)
    let outer: State = {
      point: x,
      value,
      residual: Infinity,
      step: 0,
      evaluations: problem.evaluations,
      violation: violation(c),
    }
    yield outer
    for (;;) {
      /** λ - ρ c, not below zero for inequalities: also what the slope of the square terms has for factors. */
      const shifted = (values: Float64Array) =>
        values.map((one, k) => {
          const next = multipliers[k]! - penalty * one
          return k < c.equalities ? next : Math.max(0, next)
        })
      const inner = new Problem(
        {
          value: (point) => {
            const constrained = problem.constraints(point)
            const squares = shifted(constrained.values).reduce((sum, one) => sum + one * one, 0)
            return problem.value(point) + squares / (2 * penalty)
          },
          gradient: (point) => {
            const factors = shifted(problem.constraints(point).values)
            let slope = problem.gradient(point)
            problem.constraintJacobian(point).forEach((row, k) => {
              slope = plus(slope, -factors[k]!, row)
            })
            return slope
          },
        },
        problem.size,
        { bounds },
      )
      let last: State | undefined
      let count = 0
      for (const next of lbfgsb.solve(inner, x, { ...tolerances, gradient: accuracy }, seed)) {
        last = next
        if (++count > mostInner) break
        // The inner iterations show the outer point, so that limits and callbacks have their say.
        if (count > 1) yield { ...outer, step: 0, evaluations: problem.evaluations }
      }
      const step = norm(plus(last!.point, -1, x))
      x = last!.point
      value = problem.value(x)
      c = problem.constraints(x)
      multipliers = shifted(c.values).map((one) => Math.min(largestMultiplier, Math.max(-largestMultiplier, one)))
      // Violation, and for inequalities that are slack how far the multiplier is from zero.
      const measure = c.values.reduce((most, one, k) => {
        const rest = k < c.equalities ? Math.abs(one) : Math.abs(Math.min(one, multipliers[k]!))
        return Math.max(most, rest)
      }, 0)
      const residual = Math.max(last!.residual, measure)
      outer = { point: x, value, residual, step, evaluations: problem.evaluations, violation: violation(c) }
      yield outer
      if (value === -Infinity) return { kind: 'unbounded' }
      if (residual <= tolerances.gradient) return { kind: 'converged', test: 'gradient' }
      if (measure > 0.5 * before) penalty *= 10
      before = measure
      accuracy = Math.max(tolerances.gradient, 0.1 * accuracy)
      if (!(penalty <= largestPenalty)) {
        const weights = multipliers.map((one) => one / (norm(multipliers) || 1))
        if (violation(c) > Math.sqrt(tolerances.gradient)) return { kind: 'infeasible', certificate: weights }
        return { kind: 'failed', reason: `the penalty is ${penalty}, and the residual still ${residual}` }
      }
    }
  },
}
