import type { Minimizer } from '../../method.ts'
import type { Problem } from '../../problem.ts'
import { plus } from '../../vector.ts'

interface Vertex {
  readonly point: Float64Array
  readonly value: number
}

/**
 * The simplex method of J. Nelder and R. Mead (1965), with the coefficients that F. Gao and L. Han, Implementing the Nelder-Mead simplex
 * algorithm with adaptive parameters, Computational Optimization and Applications 51 (2012), derive from the number of variables n:
 * reflection 1, expansion 1 + 2/n, contraction 3/4 - 1/(2n), shrinkage 1 - 1/n (those of Nelder and Mead for n = 2).
 *
 * The first simplex goes 5% along each axis, or 0.00025 where an element is zero. Points are clipped to the bounds, as in SciPy;
 * a first vertex beyond a bound goes the other way. Clipping can make a simplex flat: where it has ended at a bound it begins again, for as long
 * as that gains something. It ends
 * where both the distance of the vertices from the best and the differences of their values are at most the tolerance of the gradient.
 */
export const nelderMead: Minimizer = {
  name: 'nelder-mead',
  title: 'Nelder-Mead simplex',
  paper: 'Nelder and Mead 1965; Gao and Han 2012',
  takes: { bounds: true, withoutGradient: true },
  *solve(problem, start, tolerances) {
    const n = problem.size
    // In one dimension the formulas would not contract.
    const size = Math.max(n, 2)
    const [reflection, expansion, contraction, shrinkage] = [1, 1 + 2 / size, 0.75 - 1 / (2 * size), 1 - 1 / size]
    const at = (point: Float64Array): Vertex => {
      const inside = problem.within(point)
      return { point: inside, value: problem.value(inside) }
    }
    const vertices: Vertex[] = []
    const begin = (first: Vertex) => {
      vertices.splice(0, Infinity, first)
      for (let i = 0; i < n; i++) vertices.push(at(firstVertex(first.point, i, problem)))
    }
    begin(at(start))
    const order = () => vertices.sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : 0))
    order()
    let before = Infinity
    for (let step = 0; ; ) {
      const best = vertices[0]!
      const residual = spread(vertices)
      yield { point: best.point, value: best.value, residual, step, evaluations: problem.evaluations }
      if (best.value === -Infinity) return { kind: 'unbounded' }
      if (residual <= tolerances.gradient) {
        if (!touches(best.point, problem) || !(before - best.value > tolerances.gradient)) {
          return { kind: 'converged', test: 'simplex' }
        }
        before = best.value
        begin(best)
        order()
        step = 0
        continue
      }
      const worst = vertices[n]!
      let centroid: Float64Array = new Float64Array(n)
      for (const { point } of vertices.slice(0, n)) centroid = plus(centroid, 1 / n, point)
      const away = plus(centroid, -1, worst.point)
      const reflected = at(plus(centroid, reflection, away))
      let taken: Vertex | undefined
      if (reflected.value < best.value) {
        const expanded = at(plus(centroid, reflection * expansion, away))
        taken = expanded.value < reflected.value ? expanded : reflected
      } else if (reflected.value < vertices[n - 1]!.value) taken = reflected
      else if (reflected.value < worst.value) {
        const outside = at(plus(centroid, reflection * contraction, away))
        if (outside.value <= reflected.value) taken = outside
      } else {
        const inside = at(plus(centroid, -contraction, away))
        if (inside.value < worst.value) taken = inside
      }
      if (taken) vertices[n] = taken
      else {
        for (let i = 1; i <= n; i++) {
          const { point } = vertices[i]!
          vertices[i] = at(point.map((element, j) => best.point[j]! + shrinkage * (element - best.point[j]!)))
        }
      }
      order()
      step = Math.hypot(...plus(vertices[0]!.point, -1, best.point))
    }
  },
}

/** 5% along an axis; the other way where a bound is nearer than that, so that the simplex is not flat. */
function firstVertex(start: Float64Array, axis: number, { lower, upper }: Problem): Float64Array {
  const point = start.slice()
  const element = point[axis]!
  const by = element === 0 ? 0.00025 : 0.05 * element
  const fits = element + by <= (upper?.[axis] ?? Infinity) && element + by >= (lower?.[axis] ?? -Infinity)
  point[axis] = fits ? element + by : element - by
  return point
}

/** Whether a point lies at a bound. */
function touches(point: Float64Array, { lower, upper }: Problem): boolean {
  return point.some((element, i) => element === lower?.[i] || element === upper?.[i])
}

/** How far the vertices are from the best one, in their elements and their values. */
function spread(vertices: readonly Vertex[]): number {
  const best = vertices[0]!
  let largest = 0
  for (const { point, value } of vertices.slice(1)) {
    largest = Math.max(largest, value === best.value ? 0 : value - best.value)
    point.forEach((element, i) => {
      largest = Math.max(largest, Math.abs(element - best.point[i]!))
    })
  }
  return largest
}
