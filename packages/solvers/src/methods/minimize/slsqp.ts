import { endings, noLowerPoint } from '../../ends.ts'
import type { Minimizer } from '../../method.ts'
import { type Constrained, violation } from '../../problem.ts'
import { type LinearizedStep, linearizedStep } from '../../quadratic-program.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'
import { limits } from './l-bfgs-b.ts'

const decrease = 0.1
const mostTrials = 40

/**
 * Sequential quadratic programming of S.-P. Han (1977) and M. Powell (1978), as in D. Kraft, A software package for sequential quadratic
 * programming (1988), whose name SciPy uses: d minimizes gᵀd + dᵀBd/2 where the constraints, made linear, hold; B follows the Hessian of the
 * Lagrangian by BFGS with Powell's damping; the step decreases the merit f + Σ μᵢ |cᵢ|₋. It ends where the slope of the Lagrangian, the
 * violation and the complementarity are all at most the tolerance of the gradient.
 *
 * The quadratic programs are solved by the dual method of Goldfarb and Idnani, where Kraft has least squares. Where linear constraints have no
 * point in common, its certificate has a weight for each constraint, equalities first, then for each finite lower and upper bound.
 */
export const slsqp: Minimizer = {
  name: 'slsqp',
  title: 'Sequential quadratic programming',
  paper: 'Han 1977; Powell 1978; Kraft 1988',
  takes: { bounds: true, constraints: true },
  *solve(problem, start, tolerances) {
    const n = problem.size
    const [lower, upper] = limits(problem)
    const unit = () =>
      Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)))
    let x = start
    let value = problem.value(x)
    let g = problem.gradient(x, value)
    let c = problem.constraints(x)
    let A = problem.constraintJacobian(x)
    let B = unit()
    let fresh = true
    let weights = new Float64Array(c.values.length)
    let moved = 0
    const ending = endings({ gradient: tolerances.gradient, value: 0, step: 0 })
    for (;;) {
      const finite = [g, c.values, ...A].every((row) => row.every(Number.isFinite))
      if (!finite) {
        yield {
          point: x,
          value,
          residual: Infinity,
          step: moved,
          evaluations: problem.evaluations,
          violation: violation(c),
        }
        return { kind: 'failed', reason: 'a slope or a constraint is not a finite number' }
      }
      const linearized = {
        values: c.values,
        jacobian: A,
        equalities: c.equalities,
        lower: plus(lower, -1, x),
        upper: plus(upper, -1, x),
      }
      let program: LinearizedStep
      try {
        program = linearizedStep(B, g, linearized)
      } catch {
        // Rounding has cost the matrix its definiteness.
        B = unit()
        fresh = true
        program = linearizedStep(B, g, linearized)
      }
      const { step, multipliers, limits, certificate } = program
      const slopes = lagrangian(g, A, multipliers)
      const complementarity = Math.max(0, ...multipliers.map((multiplier, k) => Math.abs(multiplier * c.values[k]!)))
      const hurt = violation(c)
      const residual = Math.max(maximumNorm(plus(slopes, -1, limits)), hurt, complementarity)
      const { evaluations } = problem
      yield {
        point: x,
        value,
        residual,
        step: moved,
        evaluations,
        ...(problem.hasConstraints ? { violation: hurt } : {}),
      }
      if (value === -Infinity) return { kind: 'unbounded' }
      if (residual <= tolerances.gradient) return { kind: 'converged', test: 'gradient' }
      if (moved > 0) {
        const end = ending({ x, value, previous: value, step: moved, residual })
        if (end) return end
      }
      if (certificate && norm(step) <= 1e-8 * (1 + norm(x))) return { kind: 'infeasible', certificate }
      weights = weights.map((weight, k) => {
        const size = Math.abs(multipliers[k]!)
        return Math.max(size, (weight + size) / 2)
      })
      const merit = value + penalty(c, weights)
      const slope = dot(g, step) - penalty(c, weights)
      const noise = 4 * Number.EPSILON * Math.abs(merit)
      let found: { point: Float64Array; value: number; c: Constrained } | undefined
      for (let [length, trials] = [1, 0]; trials < mostTrials && slope < 0; trials++) {
        const point = problem.within(plus(x, length, step))
        const there = problem.value(point)
        const constrained = there < Infinity ? problem.constraints(point) : c
        const change = there + penalty(constrained, weights) - merit
        if (change <= decrease * length * slope + noise) {
          found = { point, value: there, c: constrained }
          break
        }
        // The minimum of the parabola through the merit, its slope and the trial.
        const minimum = (-slope * length) / (2 * (change / length - slope))
        length = Math.min(0.5 * length, Math.max(0.1 * length, Number.isFinite(minimum) ? minimum : 0))
      }
      if (!found) {
        if (fresh) return certificate ? { kind: 'infeasible', certificate } : noLowerPoint
        B = unit()
        fresh = true
        continue
      }
      const s = plus(found.point, -1, x)
      const previous = value
      ;({ point: x, value, c } = found)
      g = problem.gradient(x, value)
      A = problem.constraintJacobian(x)
      const y = plus(lagrangian(g, A, multipliers), -1, slopes)
      moved = norm(s)
      if (hurt <= tolerances.gradient && violation(c) <= tolerances.gradient) {
        const still = Math.abs(previous - value) <= tolerances.value * Math.max(Math.abs(previous), Math.abs(value), 1)
        const small = moved <= tolerances.step * (tolerances.step + norm(x))
        if ((still && tolerances.value > 0) || (small && tolerances.step > 0)) {
          const { evaluations } = problem
          yield { point: x, value, residual, step: moved, evaluations, violation: violation(c) }
          return { kind: 'converged', test: still && tolerances.value > 0 ? 'value' : 'step' }
        }
      }
      if (updated(B, s, y)) fresh = false
    }
  },
}

/** The slope of the Lagrangian: g - Aᵀλ. */
function lagrangian(g: Float64Array, A: readonly Float64Array[], multipliers: Float64Array): Float64Array {
  let slope = g
  A.forEach((row, k) => {
    slope = plus(slope, -multipliers[k]!, row)
  })
  return slope
}

/** Σ μᵢ times what is hurt. */
function penalty({ values, equalities }: Constrained, weights: Float64Array): number {
  let sum = 0
  values.forEach((value, k) => {
    const hurt = k < equalities ? Math.abs(value) : Math.max(0, -value)
    if (hurt > 0) sum += weights[k]! * hurt
  })
  return sum
}

/** BFGS for B, with y moved towards B s where their curvature is too small (Powell 1978). */
function updated(B: Float64Array[], s: Float64Array, y: Float64Array): boolean {
  const Bs = Float64Array.from(B, (row) => dot(row, s))
  const curvature = dot(s, Bs)
  const given = dot(s, y)
  if (!(curvature > 0) || !Number.isFinite(curvature) || !Number.isFinite(given)) return false
  const share = given >= 0.2 * curvature ? 1 : (0.8 * curvature) / (curvature - given)
  const damped = y.map((element, i) => share * element + (1 - share) * Bs[i]!)
  const product = dot(s, damped)
  for (const [i, row] of B.entries()) {
    for (let j = 0; j < s.length; j++) row[j]! += (damped[i]! * damped[j]!) / product - (Bs[i]! * Bs[j]!) / curvature
  }
  return true
}
