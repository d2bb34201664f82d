import { orientation } from './properties.ts'
import { anotherDirection, length } from './qr.ts'
import type { Routine, RoutineReference } from './routine.ts'

/**
 * The thin singular value decomposition, batch by batch: of m × n, with k the smaller of both, U (m × k), the singular values in
 * descending order as a row, and Vᵀ (k × n). The largest number of every vector of the shorter side, of U where both are
 * equally long, is above 0.
 */
export const svd: Routine = {
  title: 'singular value decomposition',
  factors: true,
  results([operand]) {
    const [batch, rows, columns] = operand!
    const rank = Math.min(rows, columns)
    return [
      [batch, rows, rank],
      [batch, 1, rank],
      [batch, rank, columns],
    ]
  },
  // A Gram matrix, its decomposition, and vectors that are made orthogonal twice.
  operations([operand]) {
    const [small, large] = sides(operand![1], operand![2])
    return Math.round(operand![0] * (7 * small * small * large + (25 / 3) * small ** 3))
  },
}

const sides = (rows: number, columns: number) => [Math.min(rows, columns), Math.max(rows, columns)] as const

/** Jacobi's method on one side: rows are turned against each other until all are orthogonal (Hestenes 1958). */
export const svdReference: RoutineReference = ([operand]) => {
  const [batch, rows, columns] = operand!.dimensions
  const wide = rows <= columns
  const [small, large] = sides(rows, columns)
  const left = new Float64Array(batch * rows * small)
  const values = new Float64Array(batch * small)
  const right = new Float64Array(batch * small * columns)
  for (let b = 0; b < batch; b++) {
    const at = (i: number, j: number) => operand!.values[(b * rows + i) * columns + j]!
    const own = Array.from({ length: small }, (_, i) =>
      Float64Array.from({ length: large }, (_, j) => (wide ? at(i, j) : at(j, i))),
    )
    const near = own.map((_, i) => Float64Array.from({ length: small }, (_, j) => (i === j ? 1 : 0)))
    makeOrthogonal(own, near)
    const lengths = own.map(length)
    // Of equal values the last comes first, as in an ascending order read backwards.
    const descending = [...lengths.keys()].sort((i, j) => lengths[j]! - lengths[i]! || j - i)
    const far: Float64Array[] = []
    const least = Math.max(0, ...lengths) * 1e-15
    descending.forEach((from, place) => {
      values[b * small + place] = lengths[from]!
      const sign = orientation(near[from]!)
      far.push(
        lengths[from]! <= least
          ? anotherDirection(far, large)
          : own[from]!.map((value) => (sign * value) / lengths[from]!),
      )
      const [u, v] = wide
        ? [near[from]!.map((value) => sign * value), far[place]!]
        : [far[place]!, near[from]!.map((value) => sign * value)]
      for (let i = 0; i < rows; i++) left[(b * rows + i) * small + place] = u[i]!
      for (let j = 0; j < columns; j++) right[(b * small + place) * columns + j] = v[j]!
    })
  }
  return [left, values, right]
}

/** Turns rows against each other, and those of another matrix alike, until they are orthogonal. */
function makeOrthogonal(rows: readonly Float64Array[], others: readonly Float64Array[]): void {
  if (rows.some((row) => row.some((value) => !Number.isFinite(value)))) {
    for (const row of [...rows, ...others]) row.fill(Number.NaN)
    return
  }
  const mostSweeps = 60
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let turned = false
    for (let p = 0; p < rows.length; p++) {
      for (let q = p + 1; q < rows.length; q++) {
        const [x, y] = [rows[p]!, rows[q]!]
        let [xx, yy, xy] = [0, 0, 0]
        for (let k = 0; k < x.length; k++) {
          xx += x[k]! * x[k]!
          yy += y[k]! * y[k]!
          xy += x[k]! * y[k]!
        }
        if (Math.abs(xy) <= Number.EPSILON * Math.sqrt(xx) * Math.sqrt(yy) || xy === 0) continue
        turned = true
        const ratio = (yy - xx) / (2 * xy)
        const t = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(ratio, 1))
        const c = 1 / Math.hypot(t, 1)
        for (const [first, second] of [[x, y] as const, [others[p]!, others[q]!] as const]) {
          for (let k = 0; k < first.length; k++) {
            const [a, d] = [first[k]!, second[k]!]
            first[k] = c * a - t * c * d
            second[k] = t * c * a + c * d
          }
        }
      }
    }
    if (!turned) break
  }
}
