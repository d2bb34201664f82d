import { LuDecomposition, Matrix, solve } from 'ml-matrix'
import { endings, noLowerPoint } from '../../ends.ts'
import { wolfe } from '../../line-search.ts'
import type { Minimizer } from '../../method.ts'
import type { Problem } from '../../problem.ts'
import { add, addAll, dot, isFiniteVector, maximumNorm, norm, plus, products } from '../../vector.ts'

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
    let model = Model.none
    const residualNow = () => maximumNorm(bounded ? projectedGradient(x, g, lower, upper) : g)
    let residual = residualNow()
    yield { point: x, value, residual, step: 0, evaluations: problem.evaluations }
    while (!(residual <= tolerances.gradient)) {
      const target = bounded ? model.minimum(x, g, lower, upper) : model.minimumAnywhere(x, g)
      const direction = plus(target, -1, x)
      const early = model.size === 0
      const longest = !bounded ? Infinity : early ? 1 : longestStep(x, direction, lower, upper)
      const first = early && !boxed ? Math.min(1, 1 / norm(direction)) : 1
      const line = { x, value, gradient: g, direction, previous: value, first, longest, decrease: 1e-3 }
      const found = wolfe(problem, line)
      if (!found) {
        if (early) return noLowerPoint
        // What is remembered may be of another region: begin anew with the gradient.
        model = Model.none
        continue
      }
      const s = plus(found.point, -1, x)
      const y = plus(found.gradient, -1, g)
      const previous = value
      ;[x, value, g] = [found.point, found.value, found.gradient]
      residual = residualNow()
      const step = norm(s)
      yield { point: x, value, residual, step, evaluations: problem.evaluations }
      const end = ending({ x, value, previous, step, endless: found.endless, residual })
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
  const projected = new Float64Array(g.length)
  for (let i = 0; i < g.length; i++) {
    const slope = g[i]!
    projected[i] = slope < 0 ? Math.max(x[i]! - upper[i]!, slope) : Math.min(x[i]! - lower[i]!, slope)
  }
  return projected
}

/** The longest step along a direction that no bound forbids. */
export function longestStep(
  x: Float64Array,
  direction: Float64Array,
  lower: Float64Array,
  upper: Float64Array,
): number {
  let longest = Infinity
  for (let i = 0; i < direction.length; i++) {
    const element = direction[i]!
    if (element > 0) longest = Math.min(longest, (upper[i]! - x[i]!) / element)
    else if (element < 0) longest = Math.min(longest, (lower[i]! - x[i]!) / element)
  }
  return longest
}

/** Products of the columns of S and Y with each other, which an update changes only in the last row and column. */
interface Products {
  readonly ss: readonly (readonly number[])[]
  /** Rows by S, columns by Y. */
  readonly sy: readonly (readonly number[])[]
  readonly yy: readonly (readonly number[])[]
}

/** Without the first row and column where there are too many, and with one more of each. */
function bordered(old: readonly (readonly number[])[], right: readonly number[], below: readonly number[]): number[][] {
  const excess = Math.max(0, old.length + 1 - right.length)
  const rows = old.slice(excess).map((row) => row.slice(excess))
  return [...rows.map((row, i) => [...row, right[i]!]), [...below]]
}

/** A quadratic model in its compact form. */
class Model {
  static readonly none = new Model([], [], { ss: [], sy: [], yy: [] })
  readonly #theta: number
  /** Of the inverse of M; missing where that is singular. */
  readonly #factors: LuDecomposition | undefined
  /** The same, L and U in one, with its rows one after the other. */
  readonly #triangles: Float64Array
  readonly #order: readonly number[]

  private constructor(
    readonly s: readonly Float64Array[],
    readonly y: readonly Float64Array[],
    readonly products: Products,
  ) {
    const m = s.length
    const { ss, sy, yy } = products
    this.#theta = m > 0 ? yy[m - 1]![m - 1]! / sy[m - 1]![m - 1]! : 1
    this.#triangles = new Float64Array(4 * m * m)
    this.#order = []
    if (m === 0) return
    const inverse = Matrix.zeros(2 * m, 2 * m)
    for (let i = 0; i < m; i++) {
      inverse.set(i, i, -sy[i]![i]!)
      for (let j = 0; j < m; j++) {
        inverse.set(m + i, m + j, this.#theta * ss[i]![j]!)
        if (i <= j) continue
        inverse.set(m + i, j, sy[i]![j]!)
        inverse.set(j, m + i, sy[i]![j]!)
      }
    }
    const factors = new LuDecomposition(inverse)
    if (factors.isSingular()) return
    this.#factors = factors
    this.#order = factors.pivotPermutationVector
    const [L, U] = [factors.lowerTriangularMatrix, factors.upperTriangularMatrix]
    for (let i = 0; i < 2 * m; i++) {
      for (let j = 0; j < 2 * m; j++) this.#triangles[2 * m * i + j] = i > j ? L.get(i, j) : U.get(i, j)
    }
  }

  get size(): number {
    return this.s.length
  }

  /** With one more pair; with that alone where M does not exist. */
  with(s: Float64Array, y: Float64Array): Model {
    const [S, Y] = [
      [...this.s.slice(1 - memory), s],
      [...this.y.slice(1 - memory), y],
    ]
    const { ss, sy, yy } = this.products
    const [byS, byY] = [products(S, [s, y]), products(Y, [s, y])]
    const column = (rows: readonly (readonly number[])[], k: number) => rows.map((row) => row[k]!)
    const next = new Model(S, Y, {
      ss: bordered(ss, column(byS, 0), column(byS, 0)),
      sy: bordered(sy, column(byS, 1), column(byY, 0)),
      yy: bordered(yy, column(byY, 1), column(byY, 1)),
    })
    if (next.#factors) return next
    return S.length > 1 ? Model.none.with(s, y) : Model.none
  }

  /** Where the model is smallest without bounds: there every variable is free, and it does not matter where one begins. */
  minimumAnywhere(x: Float64Array, g: Float64Array): Float64Array {
    if (this.size === 0) return plus(x, -1, g)
    const step = this.#freeStep(g, this.#productsOfRows(null))
    const target = plus(x, 1, step)
    return isFiniteVector(target) ? target : plus(x, -1 / this.#theta, g)
  }

  /** Where the model is small within the bounds. */
  minimum(x: Float64Array, g: Float64Array, lower: Float64Array, upper: Float64Array): Float64Array {
    const { cauchy, c } = this.#cauchyPoint(x, g, lower, upper)
    const n = x.length
    const free = new Uint8Array(n)
    let count = 0
    for (let i = 0; i < n; i++) {
      if (!(cauchy[i]! > lower[i]! && cauchy[i]! < upper[i]!)) continue
      free[i] = 1
      count++
    }
    if (this.size === 0 || count === 0) return cauchy
    const theta = this.#theta
    // The gradient of the model at the Cauchy point, of the free variables.
    const r = new Float64Array(n)
    this.#addColumns(r, this.#times(c), -1)
    for (let i = 0; i < n; i++) r[i] = free[i]! === 0 ? 0 : r[i]! + g[i]! + theta * (cauchy[i]! - x[i]!)
    const step = this.#freeStep(r, this.#productsOfRows(count === n ? null : free))
    if (!isFiniteVector(step)) return cauchy
    const projected = new Float64Array(n)
    for (let i = 0; i < n; i++) {
      if (free[i]! === 0) step[i] = 0
      projected[i] = Math.min(upper[i]!, Math.max(lower[i]!, cauchy[i]! + step[i]!))
    }
    if (dot(plus(projected, -1, x), g) < 0) return projected
    return plus(cauchy, Math.min(1, longestStep(cauchy, step, lower, upper)), step)
  }

  /** (5.8 to 5.11) of the paper: minus the inverse of the reduced matrix times r, by Sherman, Morrison and Woodbury. */
  #freeStep(r: Float64Array, WW: Matrix): Float64Array {
    const theta = this.#theta
    const k = 2 * this.size
    const N = Matrix.eye(k, k).sub(this.#factors!.solve(WW.div(theta)))
    const v = solve(N, Matrix.columnVector(this.#times(this.#alongRows(r)))).to1DArray()
    const step = new Float64Array(r.length)
    for (let i = 0; i < r.length; i++) step[i] = -r[i]! / theta
    this.#addColumns(step, Float64Array.from(v), -1 / (theta * theta))
    return step
  }

  /** WᵀW over the rows that are free; over all without a list. */
  #productsOfRows(free: Uint8Array | null): Matrix {
    const m = this.size
    const theta = this.#theta
    const { ss, sy, yy } = free ? productsOver(free, this.s, this.y) : this.products
    const WW = Matrix.zeros(2 * m, 2 * m)
    for (let a = 0; a < m; a++) {
      for (let b = 0; b < m; b++) {
        WW.set(a, b, yy[a]![b]!)
        WW.set(m + a, m + b, theta * theta * ss[a]![b]!)
        WW.set(m + a, b, theta * sy[a]![b]!)
        WW.set(b, m + a, theta * sy[a]![b]!)
      }
    }
    return WW
  }

  /** Algorithm CP: the first local minimum along P(x - t g), with c = Wᵀ(cauchy - x). */
  #cauchyPoint(x: Float64Array, g: Float64Array, lower: Float64Array, upper: Float64Array) {
    const theta = this.#theta
    const n = x.length
    const cauchy = x.slice()
    const breaks = new Float64Array(n)
    const d = new Float64Array(n)
    for (let i = 0; i < n; i++) {
      const slope = g[i]!
      const place = slope < 0 ? (x[i]! - upper[i]!) / slope : slope > 0 ? (x[i]! - lower[i]!) / slope : Infinity
      breaks[i] = place
      d[i] = place > 0 ? -slope : 0
    }
    const p = this.#alongRows(d)
    const c = new Float64Array(2 * this.size)
    const row = new Float64Array(2 * this.size)
    const squares = dot(d, d)
    let first = -squares
    let second = theta * squares - dot(p, this.#times(p))
    const least = Number.EPSILON * second
    let best = -first / second
    let from = 0
    for (const b of ascending(breaks)) {
      const length = breaks[b]! - from
      if (best < length) break
      const slope = g[b]!
      cauchy[b] = d[b]! > 0 ? upper[b]! : lower[b]!
      const moved = cauchy[b]! - x[b]!
      add(c, length, p)
      this.#row(b, row)
      const Mw = this.#times(row)
      first += length * second + slope * slope + theta * slope * moved - slope * dot(Mw, c)
      second -= theta * slope * slope + 2 * slope * dot(Mw, p) + slope * slope * dot(row, Mw)
      second = Math.max(second, least)
      add(p, slope, row)
      d[b] = 0
      best = -first / second
      from = breaks[b]!
    }
    let moving = false
    for (let i = 0; i < n && !moving; i++) moving = d[i] !== 0
    const length = moving && best > 0 ? best : 0
    for (let i = 0; i < n; i++) {
      const element = d[i]!
      if (element !== 0) cauchy[i] = Math.min(upper[i]!, Math.max(lower[i]!, x[i]! + (from + length) * element))
    }
    return { cauchy, c: plus(c, length, p) }
  }

  /** A row of W. */
  #row(index: number, row: Float64Array): void {
    const m = this.size
    for (let k = 0; k < m; k++) {
      row[k] = this.y[k]![index]!
      row[m + k] = this.#theta * this.s[k]![index]!
    }
  }

  /** Wᵀv. */
  #alongRows(v: Float64Array): Float64Array {
    const m = this.size
    const along = products([...this.y, ...this.s], [v])
    return Float64Array.from(along, ([product], k) => (k < m ? product! : this.#theta * product!))
  }

  /** Adds scale W v to a vector. */
  #addColumns(to: Float64Array, v: Float64Array, scale: number): void {
    const m = this.size
    const scales = v.map((element, k) => (k < m ? scale * element : scale * this.#theta * element))
    addAll(to, scales, [...this.y, ...this.s])
  }

  /** M v. */
  #times(v: Float64Array): Float64Array {
    const k = v.length
    const product = new Float64Array(k)
    const LU = this.#triangles
    for (let i = 0; i < k; i++) {
      let rest = v[this.#order[i]!]!
      for (let j = 0; j < i; j++) rest -= LU[i * k + j]! * product[j]!
      product[i] = rest
    }
    for (let i = k - 1; i >= 0; i--) {
      let rest = product[i]!
      for (let j = i + 1; j < k; j++) rest -= LU[i * k + j]! * product[j]!
      product[i] = rest / LU[i * k + i]!
    }
    return product
  }
}

/** The products over some of the rows. */
function productsOver(free: Uint8Array, s: readonly Float64Array[], y: readonly Float64Array[]): Products {
  let size = 0
  for (let i = 0; i < free.length; i++) size += free[i]!
  const places = new Uint32Array(size)
  let count = 0
  for (let i = 0; i < free.length; i++) if (free[i] === 1) places[count++] = i
  const gathered = (column: Float64Array) => {
    const some = new Float64Array(places.length)
    for (let k = 0; k < places.length; k++) some[k] = column[places[k]!]!
    return some
  }
  const [S, Y] = [s.map(gathered), y.map(gathered)]
  return { ss: products(S, S), sy: products(S, Y), yy: products(Y, Y) }
}

/** The places of positive finite numbers, the smallest first, from a heap: most often only a few are asked for. */
function* ascending(numbers: Float64Array): Generator<number, void, void> {
  const heap = new Uint32Array(numbers.length)
  let size = 0
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! > 0 && numbers[i]! < Infinity) heap[size++] = i
  const isBefore = (a: number, b: number) => numbers[a]! < numbers[b]! || (numbers[a] === numbers[b] && a < b)
  const sink = (from: number) => {
    const moved = heap[from]!
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= size) break
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, moved)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = moved
  }
  for (let place = (size >> 1) - 1; place >= 0; place--) sink(place)
  while (size > 0) {
    yield heap[0]!
    heap[0] = heap[--size]!
    sink(0)
  }
}
