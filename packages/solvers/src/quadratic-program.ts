import { CholeskyDecomposition, Matrix, solve } from 'ml-matrix'
import { dot, maximumNorm, plus, scaled } from './vector.ts'

/** min aᵀx + xᵀGx/2 where Cx = b in the first rows, `equalities` many, and Cx ≥ b in the others; G is positive definite. */
export interface QuadraticProgram {
  readonly G: readonly Float64Array[]
  readonly a: Float64Array
  readonly C: readonly Float64Array[]
  readonly b: ArrayLike<number>
  readonly equalities: number
}

export type QuadraticSolution =
  | { readonly kind: 'solved'; readonly x: Float64Array /** One for each row. */; readonly multipliers: Float64Array }
  /** yᵀC = 0 and yᵀb > 0 with y ≥ 0 for the inequalities: no x can keep all rows. */
  | { readonly kind: 'infeasible'; readonly certificate: Float64Array }

/**
 * The dual active-set method of D. Goldfarb and A. Idnani, A numerically stable dual method for solving strictly convex quadratic programs,
 * Mathematical Programming 27 (1983): from the minimum without conditions, those that are hurt are taken in one after the other; the
 * multipliers stay feasible all the way.
 */
export function quadraticProgram({ G, a, C, b, equalities }: QuadraticProgram): QuadraticSolution {
  const n = a.length
  const cholesky = new CholeskyDecomposition(new Matrix(G.map((row) => [...row])))
  if (!cholesky.isPositiveDefinite()) throw new RangeError('G: the matrix must be positive definite')
  const inverse = (v: Float64Array) => Float64Array.from(cholesky.solve(Matrix.columnVector(v)).to1DArray())
  let x: Float64Array = scaled(-1, inverse(a))
  /** Rows that hold, the multiplier of each, and G⁻¹ times each. */
  const active: number[] = []
  let u: number[] = []
  const solved: Float64Array[] = []
  const scale = C.map((row) => maximumNorm(row) || 1)
  const tolerance = (row: number) => 1e-12 * (1 + Math.abs(b[row]!) + scale[row]! * maximumNorm(x))
  const drop = (index: number) => {
    active.splice(index, 1)
    solved.splice(index, 1)
    u.splice(index, 1)
  }
  const answer = (values: readonly number[]) => {
    const y = new Float64Array(C.length)
    active.forEach((row, k) => {
      y[row] = values[k]!
    })
    return y
  }
  for (let count = 0; count < 50 * (n + C.length) + 50; count++) {
    const row = mostHurt()
    if (row < 0) return { kind: 'solved', x, multipliers: answer(u) }
    // An equality that is hurt from above is turned round while it is taken in.
    const sign = dot(C[row]!, x) > b[row]! ? -1 : 1
    const normal = scaled(sign, C[row]!)
    const Gn = inverse(normal)
    let multiplier = 0
    for (;;) {
      const r = active.length
        ? balanced(
            active.map((i) => solved.map((column) => dot(C[i]!, column))),
            active.map((i) => dot(C[i]!, Gn)),
          )
        : []
      let z: Float64Array = Gn
      for (const [k, column] of solved.entries()) z = plus(z, -r[k]!, column)
      const along = dot(z, normal)
      const full = along > 1e-13 * dot(Gn, normal) ? (sign * b[row]! - dot(normal, x)) / along : Infinity
      let [most, leaving] = [Infinity, -1]
      for (const [k, i] of active.entries()) {
        if (i >= equalities && r[k]! > 0 && u[k]! / r[k]! < most) [most, leaving] = [u[k]! / r[k]!, k]
      }
      const length = Math.min(full, most)
      if (length === Infinity) {
        const certificate = answer(r.map((element) => -element))
        certificate[row] = sign
        return { kind: 'infeasible', certificate }
      }
      if (full < Infinity) x = plus(x, length, z)
      u = u.map((value, k) => value - length * r[k]!)
      multiplier += length
      if (length === full) {
        active.push(row)
        solved.push(scaled(sign, Gn))
        u.push(sign * multiplier)
        break
      }
      drop(leaving)
    }
  }
  return { kind: 'solved', x, multipliers: answer(u) }

  /** The equality that does not hold yet, or the inequality that is hurt most; -1 where there is none. */
  function mostHurt(): number {
    let [worst, chosen] = [0, -1]
    for (const [i, row] of C.entries()) {
      if (active.includes(i)) continue
      const rest = dot(row, x) - b[i]!
      const hurt = i < equalities ? Math.abs(rest) : -rest
      if (!(hurt > tolerance(i))) continue
      if (i < equalities) return i
      if (hurt / scale[i]! > worst) [worst, chosen] = [hurt / scale[i]!, i]
    }
    return chosen
  }
}

/** The solution of a symmetric system whose rows are independent but for rounding. */
function balanced(matrix: number[][], right: readonly number[]): number[] {
  const cholesky = new CholeskyDecomposition(
    new Matrix(matrix.map((row, i) => row.map((_, j) => matrix[Math.max(i, j)]![Math.min(i, j)]!))),
  )
  const column = Matrix.columnVector([...right])
  return (cholesky.isPositiveDefinite() ? cholesky.solve(column) : solve(new Matrix(matrix), column, true)).to1DArray()
}

/** Constraints c + A d, the first of them equalities, and limits of d. */
export interface Linearized {
  readonly values: Float64Array
  readonly jacobian: readonly Float64Array[]
  readonly equalities: number
  readonly lower: Float64Array
  readonly upper: Float64Array
}

export interface LinearizedStep {
  readonly step: Float64Array
  /** Of the constraints. */
  readonly multipliers: Float64Array
  /** What the limits of d add to the slope: multipliers of the lower ones less those of the upper ones. */
  readonly limits: Float64Array
  /** Where the constraints have no point in common: what proves it, one number for each, and then one for each finite limit. */
  readonly certificate: Float64Array | undefined
}

const relaxation = 1e4

/**
 * min gᵀd + dᵀBd/2 within linearized constraints. Where they have no point in common, a share δ of what is hurt may stay, as in D. Kraft
 * (1988): c is replaced by (1 - δ) c, at the cost of a large multiple of δ²/2.
 */
export function linearizedStep(B: readonly Float64Array[], g: Float64Array, given: Linearized): LinearizedStep {
  const { values, jacobian, equalities, lower, upper } = given
  const n = g.length
  const C: Float64Array[] = [...jacobian]
  const b = Array.from(values, (value) => -value)
  const limited: { i: number; sign: number }[] = []
  for (const [bounds, sign] of [
    [lower, 1],
    [upper, -1],
  ] as const) {
    for (const [i, bound] of bounds.entries()) {
      if (!Number.isFinite(bound)) continue
      const row = new Float64Array(n)
      row[i] = sign
      C.push(row)
      b.push(sign * bound)
      limited.push({ i, sign })
    }
  }
  let found = quadraticProgram({ G: B, a: g, C, b, equalities })
  let certificate: Float64Array | undefined
  if (found.kind === 'infeasible') {
    certificate = found.certificate
    const weight = relaxation * (1 + maximumNorm(g))
    const G = [...B.map((row) => Float64Array.of(...row, 0)), Float64Array.of(...new Float64Array(n), weight)]
    const wider = C.map((row, k) => {
      const hurt = k < values.length && (k < equalities || values[k]! < 0)
      return Float64Array.of(...row, hurt ? -values[k]! : 0)
    })
    const share = [1, -1].map((sign) => Float64Array.of(...new Float64Array(n), sign))
    const relaxed = { G, a: Float64Array.of(...g, 0), C: [...wider, ...share], b: [...b, 0, -1], equalities }
    found = quadraticProgram(relaxed)
    if (found.kind === 'infeasible') {
      const nothing = new Float64Array(n)
      return { step: nothing, multipliers: new Float64Array(values.length), limits: nothing, certificate }
    }
  }
  const limits = new Float64Array(n)
  const { multipliers } = found
  limited.forEach(({ i, sign }, k) => {
    limits[i]! += sign * multipliers[values.length + k]!
  })
  return { step: found.x.slice(0, n), multipliers: multipliers.slice(0, values.length), limits, certificate }
}
