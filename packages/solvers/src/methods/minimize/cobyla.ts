import { inverse, Matrix } from 'ml-matrix'
import type { Minimizer } from '../../method.ts'
import { violation } from '../../problem.ts'
import { linearizedStep } from '../../quadratic-program.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'
import { limits } from './l-bfgs-b.ts'

const firstRadius = 1
/** How near a vertex may come to the face opposite, and how far from the best vertex, in radii (Powell's α and β). */
const [nearest, farthest] = [0.25, 2.1]
/** Share of a radius that a vertex is put at which makes the simplex better (Powell's γ). */
const repair = 0.5
/** Curvature of the model, in slopes for each radius: little, so that it is the linear one but for corners. */
const curvature = 0.01

interface Vertex {
  readonly point: Float64Array
  readonly value: number
  /** Constraints, equalities first. */
  readonly values: Float64Array
  readonly violation: number
}

/**
 * Linear models without slopes, after M. Powell, A direct search optimization method that models the objective and constraint functions by
 * linear interpolation (1994), known as COBYLA: the objective and the constraints are linear functions through their values at the n + 1
 * vertices of a simplex; the step makes the model small within the radius; the vertices are judged by f + μ times the violation. The radius
 * becomes half as large where the model is sound and the step has gained little, and the run ends where it is the tolerance of the gradient.
 *
 * Deviations: the radius is one of the maximum norm, and grows again, up to the first one, where a step has gained what it promised; the model has a little curvature, which makes each step a convex quadratic program; and
 * equalities are taken as such.
 */
export const cobyla: Minimizer = {
  name: 'cobyla',
  title: 'Linear models without gradients',
  paper: 'Powell 1994',
  takes: { bounds: true, constraints: true, withoutGradient: true },
  *solve(problem, start, tolerances) {
    const n = problem.size
    const [lower, upper] = limits(problem)
    let equalities = 0
    const at = (point: Float64Array): Vertex => {
      const inside = problem.within(point)
      const given = problem.constraints(inside)
      equalities = given.equalities
      return { point: inside, value: problem.value(inside), values: given.values, violation: violation(given) }
    }
    /** Variables that can move. */
    const open = [...lower.keys()].filter((i) => lower[i]! < upper[i]!)
    const widest = Math.min(...open.map((i) => upper[i]! - lower[i]!))
    const largest = Math.min(firstRadius, widest / 2)
    let radius = largest
    let best = at(start)
    let weight = 0
    const merit = (vertex: Vertex) => vertex.value + (vertex.violation > 0 ? weight * vertex.violation : 0)
    const shown = (residual: number, step: number) => ({
      point: best.point,
      value: best.value,
      residual,
      step,
      evaluations: problem.evaluations,
      ...(problem.hasConstraints ? { violation: best.violation } : {}),
    })
    yield shown(open.length ? radius : 0, 0)
    if (open.length === 0) return { kind: 'converged', test: 'radius' }
    /** A vertex along an axis, on the side where there is room. */
    const beside = (i: number, by: number) => {
      const point = best.point.slice()
      point[i]! += point[i]! + by <= upper[i]! ? by : -by
      return at(point)
    }
    let others = open.map((i) => beside(i, radius))
    for (let failures = 0; ; ) {
      const from = best.point
      for (const [k, vertex] of others.entries()) {
        if (merit(vertex) < merit(best)) {
          others[k] = best
          best = vertex
        }
      }
      if (best.value === -Infinity && best.violation === 0) {
        yield shown(radius, 0)
        return { kind: 'unbounded' }
      }
      const edges = others.map(({ point }) => plus(point, -1, best.point))
      const rows = invertedRows(edges, open)
      const finite = others.every((vertex) => Number.isFinite(merit(vertex))) && Number.isFinite(merit(best))
      const bad = rows === undefined ? -1 : worstVertex(rows, edges, radius)
      if (rows === undefined || (!finite && failures > 0)) {
        // A simplex that is flat, or has vertices that say nothing: begin again around the best one, with a smaller one.
        if (radius <= tolerances.gradient) break
        radius /= 2
        others = open.map((i) => beside(i, radius))
        failures = 0
        yield shown(radius, norm(plus(best.point, -1, from)))
        continue
      }
      const interpolated = (of: (vertex: Vertex) => number) => {
        const slope = new Float64Array(n)
        const here = of(best)
        others.forEach((vertex, k) => {
          const rise = of(vertex) - here
          open.forEach((i, index) => {
            if (rise !== 0) slope[i]! += rows[k]![index]! * rise
          })
        })
        return slope
      }
      const g = interpolated(({ value }) => value)
      const jacobian = Array.from(best.values, (_, row) => interpolated(({ values }) => values[row]!))
      let [gained, sound] = [false, false]
      if (finite && [g, ...jacobian].every((slope) => slope.every(Number.isFinite))) {
        const bend = Math.max((curvature * norm(g)) / radius, Number.MIN_VALUE * 1e20)
        const B = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? bend : 0)))
        const room = { lower: plus(lower, -1, best.point), upper: plus(upper, -1, best.point) }
        const { step } = linearizedStep(scaledRows(B, 1 / bend), scaled(1 / bend, g), {
          values: best.values,
          jacobian,
          equalities,
          lower: room.lower.map((bound) => Math.max(bound, -radius)),
          upper: room.upper.map((bound) => Math.min(bound, radius)),
        })
        const expected = best.values.map((value, k) => value + dot(jacobian[k]!, step))
        const left = violation({ values: expected, equalities })
        const healed = best.violation - left
        // So large that the model's step makes the merit smaller.
        const needed = healed > 0 ? dot(g, step) / healed : 0
        if (weight < 1.5 * needed) weight = 2 * needed
        const promised = -dot(g, step) + weight * healed
        if (maximumNorm(step) >= 0.1 * radius && promised > 0) {
          const trial = at(plus(best.point, 1, step))
          const gain = merit(best) - merit(trial)
          gained = gain >= 0.1 * promised && maximumNorm(step) >= 0.5 * radius
          sound = gain >= 0.7 * promised && maximumNorm(step) >= 0.9 * radius
          const leaving = replaced(rows, edges, step, open, radius, gain > 0)
          if (leaving >= 0) others[leaving] = trial
        }
      }
      if (gained) {
        failures = 0
        if (sound) radius = Math.min(2 * radius, largest)
      } else if (bad >= 0 && failures > n) {
        // At bounds repairs may be clipped to nothing.
        others = open.map((i) => beside(i, radius))
        failures = 0
      } else if (bad >= 0) {
        failures++
        const normal = new Float64Array(n)
        open.forEach((i, index) => {
          normal[i] = rows[bad]![index]!
        })
        const unit = scaled((repair * radius) / norm(normal), normal)
        const ahead = Float64Array.from(unit, (element, i) =>
          inRoom(best.point[i]! + element, i) ? element : -element,
        )
        others[bad] = at(plus(best.point, dot(g, ahead) > 0 && fits(scaled(-1, ahead)) ? -1 : 1, ahead))
      } else {
        if (radius <= tolerances.gradient) break
        radius = radius <= 2 * tolerances.gradient ? tolerances.gradient : radius / 2
        failures = 0
      }
      yield shown(radius, norm(plus(best.point, -1, from)))
    }
    yield shown(radius, 0)
    if (!Number.isFinite(best.value)) return { kind: 'failed', reason: 'no vertex has a finite value' }
    if (best.violation > Math.sqrt(tolerances.gradient)) {
      return { kind: 'failed', reason: `no point was found that keeps the constraints: ${best.violation} is left` }
    }
    return { kind: 'converged', test: 'radius' }

    function inRoom(element: number, i: number): boolean {
      return element >= lower[i]! && element <= upper[i]!
    }

    function fits(step: Float64Array): boolean {
      return step.every((element, i) => inRoom(best.point[i]! + element, i))
    }
  },
}

function scaledRows(rows: readonly Float64Array[], scale: number): Float64Array[] {
  return rows.map((row) => scaled(scale, row))
}

/** Rows of the inverse of the matrix whose columns are the edges: row k is normal to the face opposite vertex k. */
function invertedRows(edges: readonly Float64Array[], open: readonly number[]): number[][] | undefined {
  const matrix = new Matrix(open.map((i) => edges.map((edge) => edge[i]!)))
  try {
    const rows = inverse(matrix).to2DArray()
    return rows.every((row) => row.every(Number.isFinite)) ? rows : undefined
  } catch {
    return undefined
  }
}

/** The vertex that makes the simplex unsound: too far from the best one, or too near to the opposite face; -1 where all are well. */
function worstVertex(rows: readonly number[][], edges: readonly Float64Array[], radius: number): number {
  const lengths = edges.map(norm)
  const longest = lengths.indexOf(Math.max(...lengths))
  if (lengths[longest]! > farthest * radius * Math.sqrt(edges.length)) return longest
  const heights = rows.map((row) => 1 / Math.hypot(...row))
  const lowest = heights.indexOf(Math.min(...heights))
  return heights[lowest]! < nearest * radius ? lowest : -1
}

/** The vertex that a new point replaces: where the volume stays largest, and of those that are far, the farthest. */
function replaced(
  rows: readonly number[][],
  edges: readonly Float64Array[],
  step: Float64Array,
  open: readonly number[],
  radius: number,
  better: boolean,
): number {
  let [chosen, most] = [-1, better ? 0 : 1]
  rows.forEach((row, k) => {
    const volume = Math.abs(open.reduce((sum, i, index) => sum + row[index]! * step[i]!, 0))
    const far = norm(better ? plus(edges[k]!, -1, step) : edges[k]!) / radius
    const score = volume * Math.max(1, far) ** 2
    if (score > most && volume > 1e-8) [chosen, most] = [k, score]
  })
  return chosen
}
