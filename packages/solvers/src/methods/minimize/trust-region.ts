import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { endings } from '../../ends.ts'
import type { Minimizer } from '../../method.ts'
import type { Problem } from '../../problem.ts'
import { dot, maximumNorm, norm, plus, scaled } from '../../vector.ts'

/** The quadratic model of the objective around a point. */
interface Model {
  readonly g: Float64Array
  /** H d. */
  readonly times: (direction: Float64Array) => Float64Array
}

/** A step that is not longer than the radius and makes the model small. */
type Subproblem = (model: Model, radius: number) => Float64Array

const firstRadius = 1
const largestRadius = 1e10
/** Share of the promised decrease from which a step is taken. */
const least = 0.15

/** The rules around the model: J. Nocedal and S. Wright, Numerical Optimization (2006), algorithm 4.1, with the constants of SciPy, but for the largest radius, which is 1000 there. */
function* trustRegion(
  problem: Problem,
  start: Float64Array,
  tolerances: Parameters<Minimizer['solve']>[2],
  subproblemAt: (x: Float64Array, g: Float64Array) => (radius: number) => { step: Float64Array; change: number },
): ReturnType<Minimizer['solve']> {
  let x = start
  let value = problem.value(x)
  const ending = endings(tolerances)
  let g = problem.gradient(x, value)
  let radius = firstRadius
  let subproblem: ReturnType<typeof subproblemAt> | undefined
  yield { point: x, value, residual: maximumNorm(g), step: 0, evaluations: problem.evaluations }
  while (!(maximumNorm(g) <= tolerances.gradient)) {
    subproblem ??= subproblemAt(x, g)
    const { step, change } = subproblem(radius)
    const length = norm(step)
    const point = plus(x, 1, step)
    const there = problem.value(point)
    // Where the values differ by rounding only, the model is believed.
    const noise = 4 * Number.EPSILON * Math.abs(value)
    const ratio = Math.abs(change) <= noise && Math.abs(there - value) <= noise ? 1 : (there - value) / change
    if (!(ratio >= 0.25)) radius = length / 4
    else if (ratio > 0.75 && length >= 0.999 * radius) radius = Math.min(2 * radius, largestRadius)
    const previous = value
    const taken = ratio > least && there <= value + noise
    if (taken) {
      ;[x, value] = [point, there]
      g = problem.gradient(x, value)
      subproblem = undefined
    }
    const moved = taken ? length : 0
    yield { point: x, value, residual: maximumNorm(g), step: moved, evaluations: problem.evaluations }
    if (taken) {
      const end = ending({ x, value, previous, step: moved, residual: maximumNorm(g) })
      if (end) return end
    } else if (!(radius > Number.EPSILON * Number.EPSILON * (norm(x) + Number.MIN_VALUE)) || change === 0) {
      return { kind: 'failed', reason: 'no lower point within any radius: the value is noisy, or not smooth' }
    }
  }
  return { kind: 'converged', test: 'gradient' }
}

/** gᵀd + dᵀHd/2. */
function changeOf({ g, times }: Model, d: Float64Array): number {
  return dot(g, d) + dot(d, times(d)) / 2
}

function named(
  name: string,
  title: string,
  paper: string,
  prepared: (problem: Problem, x: Float64Array, g: Float64Array) => readonly [Model, Subproblem],
): Minimizer {
  return {
    name,
    title,
    paper,
    takes: { bounds: false },
    solve: (problem, start, tolerances) =>
      trustRegion(problem, start, tolerances, (x, g) => {
        const [model, subproblem] = prepared(problem, x, g)
        return (radius) => {
          const step = subproblem(model, radius)
          return { step, change: changeOf(model, step) }
        }
      }),
  }
}

/** The model with the whole Hessian. */
function whole(problem: Problem, x: Float64Array, g: Float64Array): Model & { readonly rows: Float64Array[] } {
  const rows = problem.hessian(x, g)
  return { g, rows, times: (d) => Float64Array.from(rows, (row) => dot(row, d)) }
}

/** How far along d from p the sphere is. */
function toSphere(p: Float64Array, d: Float64Array, radius: number): number {
  const [a, b, c] = [dot(d, d), dot(p, d), dot(p, p) - radius * radius]
  const root = Math.sqrt(Math.max(0, b * b - a * c))
  // Without cancellation.
  return b > 0 ? -c / (b + root) : (root - b) / a
}

/** The minimum along -g within the sphere. */
function cauchyPoint({ g, times }: Model, radius: number): Float64Array {
  const length = norm(g)
  const unit = scaled(1 / length, g)
  const curvature = dot(unit, times(unit))
  return scaled(-(curvature > 0 ? Math.min(radius, length / curvature) : radius), unit)
}

/**
 * The dogleg of M. Powell, A hybrid method for nonlinear equations (1970): from the minimum along -g straight to the minimum of the model,
 * as far as the sphere lets. The matrix has to be positive definite for that; where it is not (SciPy gives up there), it is lifted by
 * 1.5 times its lowest eigenvalue, as J. Nocedal and S. Wright say of their section 4.1.
 */
export const dogleg: Minimizer = named('dogleg', 'Trust region, dogleg', 'Powell 1970', (problem, x, g) => {
  const model = whole(problem, x, g)
  const newton = newtonStep(model.rows, g)
  return [
    model,
    (_, radius) => {
      if (!newton) return cauchyPoint(model, radius)
      if (norm(newton) <= radius) return newton
      const first = cauchyPoint(model, radius)
      if (norm(first) >= radius * (1 - 1e-12)) return first
      const second = plus(newton, -1, first)
      return plus(first, toSphere(first, second, radius), second)
    },
  ]
})

/** -H⁻¹g, of H lifted where it is not positive definite; undefined where no such matrix can be had. */
function newtonStep(rows: readonly Float64Array[], g: Float64Array): Float64Array | undefined {
  if (!rows.every((row) => row.every(Number.isFinite))) return undefined
  const H = new Matrix(rows.map((row) => [...row]))
  let cholesky = new CholeskyDecomposition(H)
  if (!cholesky.isPositiveDefinite()) {
    const { realEigenvalues } = new EigenvalueDecomposition(H, { assumeSymmetric: true })
    const lift = Math.max(-1.5 * Math.min(...realEigenvalues), 1e-8 * Math.max(...realEigenvalues.map(Math.abs)))
    cholesky = new CholeskyDecomposition(Matrix.add(H, Matrix.eye(g.length, g.length, lift)))
    if (!cholesky.isPositiveDefinite()) return undefined
  }
  return Float64Array.from(cholesky.solve(Matrix.columnVector(scaled(-1, g))).to1DArray())
}

/**
 * Conjugate gradients that stop at the sphere or at negative curvature: T. Steihaug, The conjugate gradient method and trust regions in large
 * scale optimization, SIAM Journal on Numerical Analysis 20 (1983). Needs products with the Hessian only.
 */
export const trustNcg: Minimizer = named('trust-ncg', 'Trust region, Steihaug', 'Steihaug 1983', (problem, x, g) => {
  const model: Model = { g, times: (d) => problem.hessianProduct(x, d, g) }
  return [
    model,
    (_, radius) => {
      const length = norm(g)
      const enough = Math.min(0.5, Math.sqrt(length)) * length
      let z: Float64Array = new Float64Array(g.length)
      let r = g
      let d = scaled(-1, g)
      for (let count = 0; count < 10 * g.length; count++) {
        const Hd = model.times(d)
        const curvature = dot(d, Hd)
        if (!(curvature > 0)) return plus(z, toSphere(z, d, radius), d)
        const squares = dot(r, r)
        const alpha = squares / curvature
        const next = plus(z, alpha, d)
        if (norm(next) >= radius) return plus(z, toSphere(z, d, radius), d)
        z = next
        r = plus(r, alpha, Hd)
        if (norm(r) < enough) break
        d = plus(scaled(-1, r), dot(r, r) / squares, d)
      }
      return z
    },
  ]
})

/**
 * The exact minimum of the model within the sphere: J. Moré and D. Sorensen, Computing a trust region step, SIAM Journal on Scientific and
 * Statistical Computing 4 (1983). There is a λ ≥ 0 with (H + λI) p = -g, H + λI positive semidefinite and λ (Δ - |p|) = 0; Newton's method
 * on 1/Δ - 1/|p(λ)| finds it. The eigenvalues of H are computed once for each point, which makes each radius cheap and shows the hard
 * case, where g has no part along the lowest eigenvector: p is completed by it.
 */
export const trustExact: Minimizer = named(
  'trust-exact',
  'Trust region, exact',
  'Moré and Sorensen 1983',
  (problem, x, g) => {
    const model = whole(problem, x, g)
    if (!model.rows.every((row) => row.every(Number.isFinite))) return [model, cauchyPoint]
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
      new Matrix(model.rows.map((row) => [...row])),
      { assumeSymmetric: true },
    )
    const vectors = realEigenvalues.map((_, k) => Float64Array.from(eigenvectorMatrix.getColumn(k)))
    const parts = vectors.map((vector) => dot(vector, g))
    const lowest = Math.min(...realEigenvalues)
    const scale = Math.max(...realEigenvalues.map(Math.abs))
    /** Coefficients of p(λ) along the eigenvectors. */
    const at = (lambda: number) => parts.map((part, k) => (part === 0 ? 0 : -part / (realEigenvalues[k]! + lambda)))
    const combined = (coefficients: readonly number[]) => {
      let p: Float64Array = new Float64Array(g.length)
      coefficients.forEach((coefficient, k) => {
        p = plus(p, coefficient, vectors[k]!)
      })
      return p
    }
    return [
      model,
      (_, radius) => {
        if (lowest > 0) {
          const newton = at(0)
          if (Math.hypot(...newton) <= radius) return combined(newton)
        }
        const floor = Math.max(0, -lowest)
        // No part of p may be longer than the radius: λ is not below this.
        const below = parts.map((part, k) => Math.abs(part) / radius - realEigenvalues[k]!)
        let lambda = Math.max(floor + Number.EPSILON * scale, ...below)
        if (!(Math.hypot(...at(lambda)) > radius)) {
          // The hard case.
          const p = combined(at(lambda).map((coefficient) => (Number.isFinite(coefficient) ? coefficient : 0)))
          const along = vectors[realEigenvalues.indexOf(lowest)]!
          return plus(p, toSphere(p, along, radius), along)
        }
        // From the left the iterations of this concave function go up to the root and never beyond.
        for (let count = 0; count < 100; count++) {
          const p = at(lambda)
          const length = Math.hypot(...p)
          if (Math.abs(length - radius) <= 1e-10 * radius) break
          const slope = p.reduce((sum, c, k) => sum + (c * c) / (realEigenvalues[k]! + lambda), 0)
          const next = lambda + ((length * length) / slope) * ((length - radius) / radius)
          if (next === lambda) break
          lambda = Math.max(next, floor)
        }
        return combined(at(lambda))
      },
    ]
  },
)
