import { LuDecomposition, Matrix, solve } from 'ml-matrix'
import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import type { Problem } from '../../problem.ts'
import { dot, maximumNorm, norm, plus } from '../../vector.ts'

/** How many pairs are remembered. */
const memory = 10

/**
 * Limited-memory BFGS within bounds: R. Byrd, P. Lu, J. Nocedal and C. Zhu, A limited memory algorithm for bound constrained optimization,
 * SIAM Journal on Scientific Computing 16 (1995), with the projection of J. Morales and J. Nocedal, Remark on algorithm 778 (2011). The
 * model of the objective has the matrix
 *
 *     B = θI - W M Wᵀ,  W = (Y, θS),  M = ((-D, Lᵀ), (L, θSᵀS))⁻¹,
 *
 * where the columns of S and Y are the last ten steps and changes of the gradient, D is the diagonal of SᵀY and L what is below it. The
 * first minimum of the model along the projected gradient (the generalized Cauchy point) says which variables are at bounds; over the
 * others the model is minimized, and a line search goes from x to what that gives.
 */
export const lbfgsb: Minimizer = {
  name: 'l-bfgs-b',
  title: 'L-BFGS-B',
  paper: 'Byrd, Lu, Nocedal and Zhu 1995; Morales and Nocedal 2011',
  takes: { bounds: true },
  *solve(problem, start, tolerances) {
    const [lower, upper] = limits(problem)
    const boxed = lower.every(Number.isFinite) && upper.every(Number.isFinite)
    const bounded = lower.some(Number.isFinite) || upper.some(Number.isFinite)
    let x = start
    let value = problem.value(x)
    const ending = endings(tolerances)
    let g = problem.gradient(x, value)
    let model = new Model([], [])
    const residual = () => maximumNorm(projectedGradient(x, g, lower, upper))
    yield { point: x, value, residual: residual(), step: 0, evaluations: problem.evaluations }
    while (!(residual() <= tolerances.gradient)) {
      const target = model.minimum(x, g, lower, upper)
      const direction = plus(target, -1, x)
      const early = model.size === 0
      const longest = !bounded ? Infinity : early ? 1 : longestStep(x, direction, lower, upper)
      const first = early && !boxed ? Math.min(1, 1 / norm(direction)) : 1
      const line = { x, value, gradient: g, direction, previous: value, first, longest, decrease: 1e-3 }
      const found = wolfe(problem, line)
      if (!found) {
        if (early) return noLowerPoint
        // What is remembered may be of another region: begin anew with the gradient.
        model = new Model([], [])
        continue
      }
      const s = plus(found.point, -1, x)
      const y = plus(found.gradient, -1, g)
      const previous = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      yield { point: x, value, residual: residual(), step: norm(s), evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step: norm(s), endless: found.endless, residual: residual() })
      if (end) return end
      if (dot(s, y) > Number.EPSILON * dot(y, y)) model = model.with(s, y)
    }
    return { kind: 'converged', test: 'gradient' }
  },
}

/** The bounds, infinite where there are none. */
export function limits({ lower, upper, size }: Problem): [lower: Float64Array, upper: Float64Array] {
  return [lower ?? new Float64Array(size).fill(-Infinity), upper ?? new Float64Array(size).fill(Infinity)]
}

/** x - P(x - g): zero exactly where no direction that the bounds allow goes down. */
export function projectedGradient(
  x: Float64Array,
  g: Float64Array,
  lower: Float64Array,
  upper: Float64Array,
): Float64Array {
  return g.map((slope, i) => (slope < 0 ? Math.max(x[i]! - upper[i]!, slope) : Math.min(x[i]! - lower[i]!, slope)))
}

/** The longest step along a direction that no bound forbids. */
export function longestStep(
  x: Float64Array,
  direction: Float64Array,
  lower: Float64Array,
  upper: Float64Array,
): number {
  let longest = Infinity
  direction.forEach((element, i) => {
    if (element > 0) longest = Math.min(longest, (upper[i]! - x[i]!) / element)
    else if (element < 0) longest = Math.min(longest, (lower[i]! - x[i]!) / element)
  })
  return longest
}

/** A quadratic model in its compact form. */
class Model {
  readonly #theta: number
  readonly #middle: LuDecomposition | undefined

  constructor(
    readonly s: readonly Float64Array[],
    readonly y: readonly Float64Array[],
  ) {
    const m = s.length
    const last = y.at(-1)
    this.#theta = last ? dot(last, last) / dot(last, s.at(-1)!) : 1
    if (m === 0) return
    const inverse = Matrix.zeros(2 * m, 2 * m)
    for (let i = 0; i < m; i++) {
      inverse.set(i, i, -dot(s[i]!, y[i]!))
      for (let j = 0; j < m; j++) {
        inverse.set(m + i, m + j, this.#theta * dot(s[i]!, s[j]!))
        if (i <= j) continue
        const below = dot(s[i]!, y[j]!)
        inverse.set(m + i, j, below)
        inverse.set(j, m + i, below)
      }
    }
    this.#middle = new LuDecomposition(inverse)
  }

  get size(): number {
    return this.s.length
  }

  with(s: Float64Array, y: Float64Array): Model {
    const next = new Model([...this.s.slice(1 - memory), s], [...this.y.slice(1 - memory), y])
    return next.#middle?.isSingular() ? new Model([s], [y]) : next
  }

  /** Where the model is small within the bounds. */
  minimum(x: Float64Array, g: Float64Array, lower: Float64Array, upper: Float64Array): Float64Array {
    const { cauchy, c } = this.#cauchyPoint(x, g, lower, upper)
    const free = [...cauchy.keys()].filter((i) => cauchy[i]! > lower[i]! && cauchy[i]! < upper[i]!)
    if (this.size === 0 || free.length === 0) return cauchy
    const theta = this.#theta
    const Mc = this.#times(c)
    // The gradient of the model at the Cauchy point, of the free variables.
    const r = free.map((i) => g[i]! + theta * (cauchy[i]! - x[i]!) - dot(this.#row(i), Mc))
    // (3.8 to 5.11) of the paper: the inverse of the reduced matrix by Sherman, Morrison and Woodbury.
    const k = 2 * this.size
    const rows = free.map((i) => this.#row(i))
    const Wr = new Float64Array(k)
    const WW = Matrix.zeros(k, k)
    rows.forEach((row, index) => {
      for (let a = 0; a < k; a++) {
        Wr[a]! += row[a]! * r[index]!
        for (let b = 0; b < k; b++) WW.set(a, b, WW.get(a, b) + (row[a]! * row[b]!) / theta)
      }
    })
    const N = Matrix.eye(k, k).sub(this.#middle!.solve(WW))
    const v = Float64Array.from(solve(N, Matrix.columnVector(this.#times(Wr))).to1DArray())
    const step = new Float64Array(x.length)
    free.forEach((i, index) => {
      step[i] = -r[index]! / theta - dot(rows[index]!, v) / (theta * theta)
    })
    if (!step.every(Number.isFinite)) return cauchy
    const projected = cauchy.map((element, i) => Math.min(upper[i]!, Math.max(lower[i]!, element + step[i]!)))
    if (dot(plus(projected, -1, x), g) < 0) return projected
    return plus(cauchy, Math.min(1, longestStep(cauchy, step, lower, upper)), step)
  }

  /** Algorithm CP: the first local minimum along P(x - t g), with c = Wᵀ(cauchy - x). */
  #cauchyPoint(x: Float64Array, g: Float64Array, lower: Float64Array, upper: Float64Array) {
    const theta = this.#theta
    const cauchy = x.slice()
    const breaks = g.map((slope, i) =>
      slope < 0 ? (x[i]! - upper[i]!) / slope : slope > 0 ? (x[i]! - lower[i]!) / slope : Infinity,
    )
    const d = g.map((slope, i) => (breaks[i]! > 0 ? -slope : 0))
    let p = new Float64Array(2 * this.size)
    d.forEach((element, i) => {
      if (element !== 0 && this.size > 0) p = plus(p, element, this.#row(i)) as Float64Array<ArrayBuffer>
    })
    let c = new Float64Array(2 * this.size)
    const squares = dot(d, d)
    let first = -squares
    let second = theta * squares - dot(p, this.#times(p))
    const least = Number.EPSILON * second
    let best = -first / second
    let from = 0
    const order = [...breaks.keys()].filter((i) => breaks[i]! > 0 && breaks[i]! < Infinity)
    order.sort((a, b) => breaks[a]! - breaks[b]!)
    for (const b of order) {
      const length = breaks[b]! - from
      if (best < length) break
      const slope = g[b]!
      cauchy[b] = d[b]! > 0 ? upper[b]! : lower[b]!
      const moved = cauchy[b]! - x[b]!
      c = plus(c, length, p) as Float64Array<ArrayBuffer>
      const row = this.#row(b)
      const Mw = this.#times(row)
      first += length * second + slope * slope + theta * slope * moved - slope * dot(Mw, c)
      second -= theta * slope * slope + 2 * slope * dot(Mw, p) + slope * slope * dot(row, Mw)
      second = Math.max(second, least)
      p = plus(p, slope, row) as Float64Array<ArrayBuffer>
      d[b] = 0
      best = -first / second
      from = breaks[b]!
    }
    const length = d.some((element) => element !== 0) && best > 0 ? best : 0
    d.forEach((element, i) => {
      if (element !== 0) cauchy[i] = Math.min(upper[i]!, Math.max(lower[i]!, x[i]! + (from + length) * element))
    })
    return { cauchy, c: plus(c, length, p) }
  }

  /** A row of W. */
  #row(index: number): Float64Array {
    const m = this.size
    return Float64Array.from({ length: 2 * m }, (_, k) =>
      k < m ? this.y[k]![index]! : this.#theta * this.s[k - m]![index]!,
    )
  }

  #times(v: Float64Array): Float64Array {
    if (!this.#middle) return v
    return Float64Array.from(this.#middle.solve(Matrix.columnVector(v)).to1DArray())
  }
}
