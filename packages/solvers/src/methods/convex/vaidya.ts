import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import type { ConvexMethod } from '../../convex-problem.ts'
import { dot, plus } from '../../vector.ts'
import { boxAround, type HalfSpace, mostViolated } from './polytope.ts'

/** Half-spaces of less leverage are dropped. */
const negligible = 0.08
/** gᵀ H⁻¹ g / s² of a new one: the larger, the nearer it is to the centre. */
const entering = 5

/**
 * Vaidya's cutting planes: the volumetric centre of a polytope, where v(x) = ½ log det H(x) is least, H = Σ a aᵀ / s², s = b - a · x. Where a
 * half-space has little leverage σ = aᵀ H⁻¹ a / s² it is dropped, and otherwise one is added behind the centre; so there are O(n) of
 * them, and after O(n log(n R / ε)) subgradients f is within ε (theorem 2.8). Newton steps with Q = Σ σ a aᵀ / s² go back to the centre. The residual is
 * n |g| / √σ_min in the norm of Q⁻¹, at least f - f* from the centre. Deviation: constants. Bubeck's proof wants 0.006 and 0.015 for the two
 * below, with which each subgradient would cut off very little.
 */
export const vaidya: ConvexMethod = {
  name: 'vaidya',
  title: "Vaidya's cutting planes",
  paper:
    'P. Vaidya (1996), A New Algorithm for Minimizing Convex Functions over Convex Sets; S. Bubeck (2015), Convex Optimization: Algorithms and Complexity, arXiv 1405.4980, section 2.3',
  *solve(problem, start, { radius, tolerance }) {
    const n = start.length
    const limits = problem.halfSpaces()
    let spaces: HalfSpace[] = boxAround(start, radius)
    let x = start
    for (;;) {
      let centre = centred(spaces, x)
      // What was added last is often what makes others negligible.
      for (;;) {
        let least = 0
        for (let i = 1; i < spaces.length; i++) if (centre.leverages[i]! < centre.leverages[least]!) least = i
        if (!(centre.leverages[least]! < negligible) || spaces.length <= 2 * n) break
        spaces = spaces.filter((_, i) => i !== least)
        centre = centred(spaces, centre.x)
      }
      x = centre.x
      const outside = mostViolated(limits, x)
      const value = outside ? Infinity : problem.value(x)
      const g = outside ? outside.normal : problem.gradient(x, value)
      const lowest = centre.leverages.reduce((least, each) => Math.min(least, each), 1)
      const residual = n * Math.sqrt(dot(g, centre.solveQ(g)) / lowest)
      yield { point: x, value, residual: outside ? Infinity : residual }
      if (!outside && residual <= tolerance) return { kind: 'converged', test: 'residual' }
      const width = Math.sqrt(dot(g, centre.solveH(g)))
      // All of the polytope is beyond one half-space, or flat.
      if (!(width > 0) || (outside && dot(g, x) - outside.bound >= residual)) {
        return { kind: 'failed', reason: 'the set is empty, has no inside, or is not within the radius' }
      }
      spaces = [...spaces, { normal: g, bound: dot(g, x) + width / Math.sqrt(entering) }]
    }
  },
}

function parts(spaces: readonly HalfSpace[], x: Float64Array) {
  const n = x.length
  const slacks = spaces.map(({ normal, bound }) => bound - dot(normal, x))
  if (slacks.some((slack) => !(slack > 0))) return undefined
  const scaled = spaces.map(({ normal }, i) => normal.map((element) => element / slacks[i]!))
  const weighted = (weights: (i: number) => number) => {
    const sum = Matrix.zeros(n, n)
    scaled.forEach((a, i) => {
      const weight = weights(i)
      for (let r = 0; r < n; r++) for (let c = 0; c < n; c++) sum.set(r, c, sum.get(r, c) + weight * (a[r]! * a[c]!))
    })
    const factors = new CholeskyDecomposition(sum)
    return {
      solve: (g: Float64Array) => Float64Array.from(factors.solve(Matrix.columnVector(g)).to1DArray()),
      logDeterminant: factors.lowerTriangularMatrix.diagonal().reduce((all, each) => all + 2 * Math.log(each), 0),
    }
  }
  const H = weighted(() => 1)
  const leverages = scaled.map((a) => dot(a, H.solve(a)))
  return { scaled, leverages, H, weighted, volume: H.logDeterminant / 2 }
}

/** The volumetric centre, from a point inside. */
function centred(spaces: readonly HalfSpace[], from: Float64Array) {
  let x = from
  let here = parts(spaces, x)!
  for (let k = 0; ; k++) {
    const { scaled, leverages, weighted } = here
    const Q = weighted((i) => leverages[i]!)
    const gradient = new Float64Array(x.length)
    scaled.forEach((a, i) => {
      for (let j = 0; j < x.length; j++) gradient[j]! += leverages[i]! * a[j]!
    })
    const step = Q.solve(gradient)
    const decrement = dot(gradient, step)
    let moved = false
    if (decrement > 1e-10 && k < 50) {
      for (let share = 1 / 2; share > 1e-8; share /= 2) {
        const trial = plus(x, -share, step)
        const there = parts(spaces, trial)
        if (there && there.volume <= here.volume - 0.1 * share * decrement) {
          ;[x, here, moved] = [trial, there, true]
          break
        }
      }
    }
    if (!moved) return { x, leverages, solveQ: Q.solve, solveH: here.H.solve }
  }
}
