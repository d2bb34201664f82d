import type { LeastSquaresMethod } from '../../method.ts'
import type { Residuals } from '../../residuals.ts'
import { factorize, stepWithin } from '../../trust-region.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'

/** Relative error allowed for the length of a step. */
const lengthTolerance = 0.01

/**
 * A trust region in variables that are scaled by their distance from the bound towards which the value decreases, so that steps shorten
 * before a bound; where a step meets a bound it is reflected there. Of the step that ends at the bound, the reflected one and the steepest
 * descent, the one that the model likes best is taken. All points are strictly within the bounds.
 *
 * Deviations: the subproblem is solved in all dimensions, not in a subspace of two; variables are also scaled by the norms of the columns of
 * the Jacobian, unless a scale is given.
 */
export const trustRegionReflective: LeastSquaresMethod = {
  name: 'trustRegionReflective',
  title: 'Interior trust region with reflections',
  paper:
    'M. A. Branch, T. F. Coleman, Y. Li (1999), A Subspace, Interior, and Conjugate Gradient Method for Large-Scale Bound-Constrained Minimization Problems',
  takes: { bounds: true },
  *solve(problem, start, tolerances, { scale, radius: firstRadius = 1 }) {
    let x = inside(problem, start, 1e-10)
    let here = problem.at(x)
    if (!Number.isFinite(here.value)) return { kind: 'failed', reason: problem.reason(here) }
    let units = scale ?? new Float64Array(0)
    let radius = 0
    let multiplier = 0
    let length = 0
    let test = ''
    for (;;) {
      const { columns, residuals, gradient } = problem.model(x, here)
      const norms = Float64Array.from(columns, norm)
      const { distance, slope } = distances(problem, x, gradient)
      const residual = maximumNorm(gradient.map((element, j) => element * distance[j]!))
      yield { point: x, value: here.value, residual, step: length, evaluations: problem.evaluations }
      if (test !== '') return { kind: 'converged', test }
      if (!norms.every(Number.isFinite)) return { kind: 'failed', reason: 'jacobian: an element is not finite' }
      if (residual <= tolerances.gradient) return { kind: 'converged', test: 'gradient' }
      if (!scale) {
        const before = units
        units = norms.map((element, j) => Math.min(before[j] ?? Infinity, element > 0 ? 1 / element : 1))
      }

      // x = d x̂, where d is the root of the distance to the bound, in the units of the variable.
      const d = distance.map((element, j) => (slope[j] === 0 ? units[j]! : Math.sqrt(element / units[j]!) * units[j]!))
      const curvature = gradient.map((element, j) => Math.max(0, element * slope[j]! * units[j]!))
      if (radius === 0) radius = firstRadius * (norm(x.map((element, j) => element / d[j]!)) || 1)
      const gradientHat = gradient.map((element, j) => element * d[j]!)
      const bounded = curvature.some((element) => element > 0)
      const columnsHat = columns.map((column, j) => {
        const rows = new Float64Array(column.length + (bounded ? problem.size : 0))
        for (let i = 0; i < column.length; i++) rows[i] = column[i]! * d[j]!
        if (bounded) rows[column.length + j] = Math.sqrt(curvature[j]!)
        return rows
      })
      const right = new Float64Array(residuals.length + (bounded ? problem.size : 0))
      right.set(residuals)
      const factors = factorize(columnsHat, right)
      const decrease = (p: Float64Array): number => -dot(gradientHat, p) - halfSquare(factors.triangle, p)
      const theta = Math.max(0.995, 1 - residual)

      for (let taken = false; !taken && test === ''; ) {
        const full = stepWithin(factors, radius, multiplier, lengthTolerance)
        multiplier = full.multiplier
        const candidates = bent(problem, x, d, full.p, gradientHat, radius, theta, decrease, factors.triangle)
        const p = candidates.reduce((best, one) => (decrease(one) > decrease(best) ? one : best))
        const point = inside(
          problem,
          plus(
            x,
            1,
            p.map((element, j) => element * d[j]!),
          ),
          0,
        )
        const there = problem.at(point)
        const actual = here.value - there.value
        const promised = decrease(p)
        const corrected = actual - p.reduce((sum, element, j) => sum + curvature[j]! * element ** 2, 0) / 2
        const ratio = promised > 0 ? corrected / promised : 0
        const size = norm(p)
        const moved = norm(plus(point, -1, x))
        const before = radius
        if (!(ratio >= 0.25)) radius = 0.25 * size
        else if (ratio > 0.75 && size > 0.95 * radius) radius *= 2
        multiplier *= before / radius
        if (actual > 0) taken = true
        const least = Math.max(tolerances.value, Number.EPSILON)
        if (Math.abs(actual) < least * here.value && promised < least * here.value) test = 'value'
        else if (moved < Math.max(tolerances.step, Number.EPSILON) * (tolerances.step + norm(x))) test = 'step'
        if (taken) {
          x = point
          here = there
          length = moved
        }
        if (test !== '' && !taken) return { kind: 'converged', test }
      }
    }
  },
}

/** |J p|² / 2, by the columns of the triangle. */
function halfSquare(triangle: readonly Float64Array[], p: Float64Array): number {
  const image = new Float64Array(p.length)
  for (const [j, column] of triangle.entries()) {
    for (let i = 0; i < column.length; i++) image[i]! += column[i]! * p[j]!
  }
  return dot(image, image) / 2
}

/** v of the paper: how far the bound is towards which the value decreases (1 where there is none), and its derivative. */
function distances({ lower, upper }: Residuals, x: Float64Array, gradient: Float64Array) {
  const distance = new Float64Array(x.length).fill(1)
  const slope = new Float64Array(x.length)
  for (let j = 0; j < x.length; j++) {
    if (gradient[j]! < 0 && upper[j]! < Infinity) {
      distance[j] = upper[j]! - x[j]!
      slope[j] = -1
    } else if (gradient[j]! > 0 && lower[j]! > -Infinity) {
      distance[j] = x[j]! - lower[j]!
      slope[j] = 1
    }
  }
  return { distance, slope }
}

/** Moved off the bounds, by a share of the element or to its neighbour among the numbers. */
function inside({ lower, upper }: Residuals, x: Float64Array, share: number): Float64Array {
  return x.map((element, j) => {
    const [low, high] = [lower[j]!, upper[j]!]
    const margin = (bound: number) =>
      Math.max(share * Math.max(1, Math.abs(bound)), Number.EPSILON * Math.abs(bound), 1e-300)
    let result = element
    if (result <= low) result = low + margin(low)
    if (result >= high) result = high - margin(high)
    return result > low && result < high ? result : low / 2 + high / 2
  })
}

/** How many times a direction can be taken until a bound, and which bounds are met there. */
function toBound({ lower, upper }: Residuals, x: Float64Array, direction: Float64Array) {
  const strides = direction.map((element, j) => {
    if (element === 0) return Infinity
    return Math.max(0, ((element > 0 ? upper[j]! : lower[j]!) - x[j]!) / element)
  })
  const stride = strides.reduce((least, one) => Math.min(least, one), Infinity)
  return { stride, met: strides.map((one) => (one === stride ? 1 : 0)) }
}

/** How many times a direction can be taken from a point within a ball until its surface. */
function toSphere(from: Float64Array, direction: Float64Array, radius: number): number {
  const a = dot(direction, direction)
  const b = dot(from, direction)
  const c = Math.min(0, dot(from, from) - radius * radius)
  if (a === 0) return 0
  const root = Math.sqrt(b * b - a * c)
  // Without cancellation.
  return b > 0 ? -c / (b + root) : (root - b) / a
}

/** The whole step where it stays within the bounds; else the step up to the bound, the reflected one, and that along the gradient. */
function bent(
  problem: Residuals,
  x: Float64Array,
  d: Float64Array,
  p: Float64Array,
  gradient: Float64Array,
  radius: number,
  theta: number,
  decrease: (p: Float64Array) => number,
  triangle: readonly Float64Array[],
): Float64Array[] {
  const unscaled = (hat: Float64Array) => hat.map((element, j) => element * d[j]!)
  const { stride, met } = toBound(problem, x, unscaled(p))
  if (stride > 1) return [p]
  const candidates = [scaled(theta * stride, p)]

  // From where the step meets the bound, onwards with the signs of those elements turned.
  const atBound = scaled(stride, p)
  const reflected = p.map((element, j) => (met[j] ? -element : element))
  const untilSphere = toSphere(atBound, reflected, radius)
  const untilBound = toBound(problem, plus(x, 1, unscaled(atBound)), unscaled(reflected)).stride
  const most = Math.min(untilSphere, theta * untilBound)
  const least = most > 0 ? ((1 - theta) * stride) / Math.min(untilSphere, untilBound) : 0
  if (most > least) {
    // The model along the line is a parabola: by its slope and its curvature.
    const curvature = 2 * halfSquare(triangle, reflected)
    const slope = decrease(atBound) - decrease(plus(atBound, 1, reflected)) - curvature / 2 || 0
    const stop = curvature > 0 ? -slope / curvature : most
    candidates.push(plus(atBound, Math.min(most, Math.max(least, stop)), reflected))
  }

  const descent = scaled(-1, gradient)
  const longest = Math.min(radius / norm(descent), theta * toBound(problem, x, unscaled(descent)).stride)
  const curvature = 2 * halfSquare(triangle, descent)
  const cauchy = curvature > 0 ? dot(descent, descent) / curvature : Infinity
  candidates.push(scaled(Math.min(longest, cauchy), descent))
  return candidates
}
