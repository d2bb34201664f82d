import type { Dimensions } from '../graph/dimensions.ts'
import { orientation, square } from './properties.ts'
import type { Routine, RoutineReference } from './routine.ts'

/**
 * Eigenvalues in ascending order, as a row, and eigenvectors as columns, of the symmetric part of each matrix of a batch. The largest
 * number of every vector is above 0.
 */
export const eigen: Routine = {
  title: 'eigendecomposition',
  factors: true,
  results([operand]) {
    const [batch, order] = square('eigen', operand!)
    return [
      [batch, 1, order],
      [batch, order, order],
    ]
  },
  // Reflections take 10/3 n³, turns about 5 n³.
  operations: ([operand]) => Math.round((25 / 3) * operand![0] * operand![1] ** 3),
}

/** Jacobi's method: planes of two axes are turned until nothing is left beside the diagonal (Jacobi 1846). */
export const eigenReference: RoutineReference = ([operand]) => {
  const [batch, order] = operand!.dimensions as Dimensions
  const values = new Float64Array(batch * order)
  const vectors = new Float64Array(batch * order * order)
  for (let b = 0; b < batch; b++) {
    const given = operand!.values.subarray(b * order * order, (b + 1) * order * order)
    const a = given.map((value, place) => (value + given[(place % order) * order + Math.floor(place / order)]!) / 2)
    const { basis, diagonal } = jacobi(a, order)
    const ascending = [...diagonal.keys()].sort((i, j) => diagonal[i]! - diagonal[j]!)
    ascending.forEach((from, place) => {
      values[b * order + place] = diagonal[from]!
      const vector = Float64Array.from({ length: order }, (_, i) => basis[i * order + from]!)
      const sign = orientation(vector)
      for (let i = 0; i < order; i++) vectors[(b * order + i) * order + place] = sign * vector[i]!
    })
  }
  return [values, vectors]
}

/** Turns a symmetric matrix into a diagonal one in place. */
function jacobi(a: Float64Array, order: number): { basis: Float64Array; diagonal: Float64Array } {
  const basis = new Float64Array(order * order)
  for (let i = 0; i < order; i++) basis[i * order + i] = 1
  if (a.some((value) => !Number.isFinite(value))) {
    return { basis: basis.fill(Number.NaN), diagonal: new Float64Array(order).fill(Number.NaN) }
  }
  const turn = (values: Float64Array, first: number, second: number, step: number, c: number, s: number) => {
    for (let k = 0; k < order; k++) {
      const [x, y] = [values[first + k * step]!, values[second + k * step]!]
      values[first + k * step] = c * x - s * y
      values[second + k * step] = s * x + c * y
    }
  }
  const mostSweeps = 60
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let turned = false
    for (let p = 0; p < order; p++) {
      for (let q = p + 1; q < order; q++) {
        const off = a[p * order + q]!
        const scale = Math.sqrt(Math.abs(a[p * order + p]!)) * Math.sqrt(Math.abs(a[q * order + q]!))
        if (Math.abs(off) <= Number.EPSILON * scale || off === 0) continue
        turned = true
        const ratio = (a[q * order + q]! - a[p * order + p]!) / (2 * off)
        const t = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(ratio, 1))
        const c = 1 / Math.hypot(t, 1)
        turn(a, p, q, order, c, t * c)
        turn(a, p * order, q * order, 1, c, t * c)
        a[p * order + q] = 0
        a[q * order + p] = 0
        turn(basis, p, q, order, c, t * c)
      }
    }
    if (!turned) break
  }
  return { basis, diagonal: Float64Array.from({ length: order }, (_, i) => a[i * order + i]!) }
}
