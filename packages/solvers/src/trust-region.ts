import { Matrix, SVD } from 'ml-matrix'
import { norm } from './vector.ts'

/** J = U S Vᵀ with the singular values S, the rows of V, and Uᵀ f: all that steps of any length need. */
export interface Factors {
  readonly singular: Float64Array
  readonly v: readonly (readonly number[])[]
  /** Uᵀ f. */
  readonly uf: Float64Array
  /** The columns of a triangle R with |R p| = |J p|. */
  readonly triangle: readonly Float64Array[]
  /** Share of the largest singular value below which one counts as zero. */
  readonly threshold: number
}

/**
 * Factors of a Jacobian given by its columns, of which nothing is changed. The many rows are first reduced to a triangle of the size of
 * the variables by Householder reflections, so that the singular value decomposition is of a small matrix.
 */
export function factorize(columns: readonly Float64Array[], f: Float64Array): Factors {
  const n = columns.length
  const work = columns.map((column) => column.slice())
  const right = f.slice()
  const m = f.length
  const matrix = Matrix.zeros(n, n)
  for (let k = 0; k < Math.min(m, n); k++) {
    const column = work[k]!
    const length = norm(column.subarray(k))
    if (length > 0) {
      const alpha = column[k]! > 0 ? -length : length
      // The reflection is along the column less alpha e_k, divided by its own first element.
      const first = column[k]! - alpha
      for (let i = k + 1; i < m; i++) column[i]! /= first
      const weight = -first / alpha
      for (const other of [...work.slice(k + 1), right]) {
        let sum = other[k]!
        for (let i = k + 1; i < m; i++) sum += column[i]! * other[i]!
        sum *= weight
        other[k]! -= sum
        for (let i = k + 1; i < m; i++) other[i]! -= sum * column[i]!
      }
      column[k] = alpha
    }
    for (let j = k; j < n; j++) matrix.set(k, j, work[j]![k]!)
  }
  const { diagonal, leftSingularVectors: u, rightSingularVectors: v } = new SVD(matrix)
  const uf = Float64Array.from({ length: n }, (_, i) => {
    let sum = 0
    for (let k = 0; k < Math.min(m, n); k++) sum += u.get(k, i) * right[k]!
    return sum
  })
  return {
    singular: Float64Array.from(diagonal),
    v: v.to2DArray(),
    uf,
    triangle: work.map((column, j) => column.slice(0, Math.min(m, j + 1))),
    threshold: Math.max(m, n) * Number.EPSILON,
  }
}

/** The minimum of |f + J p|² within a radius, and its Lagrange multiplier. */
export interface Step {
  readonly p: Float64Array
  readonly multiplier: number
}

/**
 * Minimizes |f + J p|² over |p| at most the radius, up to a relative error of the length: algorithm 5.5 of J. J. Moré (1978). The
 * secular equation |p(alpha)| = radius is solved by Newton steps on its reciprocal, kept between a lower and an upper bound.
 *
 * @param multiplier that of the last step, where the search begins
 * @param tolerance of the length, relative to the radius
 */
export function stepWithin(factors: Factors, radius: number, multiplier: number, tolerance: number): Step {
  const { singular, v, uf, threshold } = factors
  const n = singular.length
  const largest = singular.reduce((most, s) => Math.max(most, s), 0)
  const rank = singular.filter((s) => s > threshold * largest).length
  const combined = (alpha: number): Float64Array => {
    const p = new Float64Array(n)
    for (let i = 0; i < n; i++) {
      const s = singular[i]!
      if (alpha === 0 && !(s > threshold * largest)) continue
      const weight = alpha === 0 ? -uf[i]! / s : (-s * uf[i]!) / (s * s + alpha)
      for (let j = 0; j < n; j++) p[j]! += weight * v[j]![i]!
    }
    return p
  }
  const gaussNewton = combined(0)
  if (norm(gaussNewton) <= (1 + tolerance) * radius) return { p: gaussNewton, multiplier: 0 }

  /** phi(alpha) = |p(alpha)| - radius and its slope. */
  const phi = (alpha: number): readonly [number, number] => {
    const parts = singular.map((s, i) => (s * uf[i]!) / (s * s + alpha))
    const length = norm(parts)
    let slope = 0
    for (let i = 0; i < n; i++) if (parts[i] !== 0) slope -= (parts[i]! / length) ** 2 / (singular[i]! ** 2 + alpha)
    return [length - radius, slope * length]
  }
  let upper = norm(singular.map((s, i) => s * uf[i]!)) / radius
  let lower = 0
  if (rank === n) {
    const [value, slope] = phi(0)
    lower = Math.min(upper, -value / slope)
  }
  let alpha = Math.min(upper, Math.max(lower, multiplier))
  if (alpha === 0) alpha = Math.max(0.001 * upper, Math.sqrt(lower * upper))
  for (let trial = 0; trial < 10; trial++) {
    if (!(alpha > lower && alpha < upper)) alpha = Math.max(0.001 * upper, Math.sqrt(lower * upper))
    const [value, slope] = phi(alpha)
    if (Math.abs(value) <= tolerance * radius || (lower === 0 && value < 0 && trial > 8)) break
    if (value < 0) upper = alpha
    lower = Math.max(lower, alpha - value / slope)
    alpha -= ((value + radius) / radius) * (value / slope)
  }
  return { p: combined(alpha), multiplier: alpha }
}
