import type { Routine, RoutineReference } from './routine.ts'

/**
 * Q, whose columns are orthonormal, and R, an upper triangle with no number below 0 on its diagonal, whose product is the operand;
 * batch by batch. Of m × n, with k the smaller of both, Q is m × k and R is k × n.
 */
export const qr: Routine = {
  title: 'QR factors',
  factors: true,
  results([operand]) {
    const [batch, rows, columns] = operand!
    const rank = Math.min(rows, columns)
    return [
      [batch, rows, rank],
      [batch, rank, columns],
    ]
  },
  operations([operand]) {
    const [batch, rows, columns] = operand!
    const rank = Math.min(rows, columns)
    return 4 * batch * rows * rank * columns
  },
}

/** The same without the signs turned: those that LAPACK's reflections leave, each against the number that it reflects. */
export const householder: Routine = { ...qr, title: 'QR factors by reflections' }

/** Columns are made orthogonal to those before, twice (Gram and Schmidt; Giraud, Langou, Rozložník 2005); where nothing is left, an axis is. */
export const qrReference: RoutineReference = ([operand]) => {
  const [batch, rows, columns] = operand!.dimensions
  const rank = Math.min(rows, columns)
  const q = new Float64Array(batch * rows * rank)
  const r = new Float64Array(batch * rank * columns)
  for (let b = 0; b < batch; b++) {
    const column = (j: number) =>
      Float64Array.from({ length: rows }, (_, i) => operand!.values[(b * rows + i) * columns + j]!)
    const basis: Float64Array[] = []
    for (let j = 0; j < columns; j++) {
      const rest = column(j)
      const size = length(rest)
      for (let pass = 0; pass < 2; pass++) {
        basis.forEach((vector, k) => {
          const along = dot(vector, rest)
          r[(b * rank + k) * columns + j]! += along
          rest.forEach((_, i) => {
            rest[i]! -= along * vector[i]!
          })
        })
      }
      if (basis.length === rank) continue
      const left = length(rest)
      const isIndependent = !(left <= 1e-14 * size)
      r[(b * rank + basis.length) * columns + j] = isIndependent ? left : 0
      basis.push(isIndependent ? rest.map((value) => value / left) : anotherDirection(basis, rows))
    }
    basis.forEach((vector, k) => {
      vector.forEach((value, i) => {
        q[(b * rows + i) * rank + k] = value
      })
    })
  }
  return [q, r]
}

/** Each column is reflected onto an axis, unless nothing stands below it (Householder 1958, with the signs of LAPACK). */
export const householderReference: RoutineReference = ([operand]) => {
  const [batch, rows, columns] = operand!.dimensions
  const rank = Math.min(rows, columns)
  const q = new Float64Array(batch * rows * rank)
  const r = new Float64Array(batch * rank * columns)
  for (let b = 0; b < batch; b++) {
    const left = Array.from({ length: columns }, (_, j) =>
      Float64Array.from({ length: rows }, (_, i) => operand!.values[(b * rows + i) * columns + j]!),
    )
    const reflections: ((column: Float64Array) => void)[] = []
    for (let k = 0; k < rank; k++) {
      const rest = left[k]!.subarray(k)
      const below = length(rest.subarray(1))
      const v = rest.slice()
      v[0]! += (v[0]! < 0 ? -1 : 1) * length(rest)
      const scale = below === 0 ? 0 : 2 / dot(v, v)
      const reflect = (column: Float64Array) => {
        const part = column.subarray(k)
        const along = scale * dot(v, part)
        for (let i = 0; i < part.length; i++) part[i]! -= along * v[i]!
      }
      reflections.unshift(reflect)
      for (const column of left.slice(k)) reflect(column)
    }
    for (let k = 0; k < rank; k++) {
      const axis = new Float64Array(rows)
      axis[k] = 1
      for (const reflect of reflections) reflect(axis)
      axis.forEach((value, i) => {
        q[(b * rows + i) * rank + k] = value
      })
      for (let j = k; j < columns; j++) r[(b * rank + k) * columns + j] = left[j]![k]!
    }
  }
  return [q, r]
}

const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
export const length = (x: Float64Array): number => Math.sqrt(dot(x, x))

/** A unit vector that is orthogonal to others: what is left of the first axis of which enough is, where they begin with `first`. */
export function anotherDirection(basis: readonly Float64Array[], dimension: number, first = 0): Float64Array {
  for (let axis = 0; axis < dimension; axis++) {
    const rest = new Float64Array(dimension)
    rest[(first + axis) % dimension] = 1
    for (let pass = 0; pass < 2; pass++) {
      for (const vector of basis) {
        const along = dot(vector, rest)
        rest.forEach((_, i) => {
          rest[i]! -= along * vector[i]!
        })
      }
    }
    const left = length(rest)
    if (left > 0.5 / Math.sqrt(dimension)) return rest.map((value) => value / left)
  }
  return new Float64Array(dimension).fill(Number.NaN)
}
