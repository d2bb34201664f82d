/** Plain matrices of float64 numbers, for tests of what computes with matrices. */

/** An array of rows. */
export type Matrix = number[][]

export const transposed = (a: Matrix): Matrix => (a[0] ?? []).map((_, j) => a.map((row) => row[j]!))

export const times = (a: Matrix, b: Matrix): Matrix => {
  const columns = transposed(b)
  return a.map((row) => columns.map((column) => row.reduce((sum, value, k) => sum + value * column[k]!, 0)))
}

/** The largest difference of two numbers at the same place. */
export const distance = (a: Matrix, b: Matrix): number =>
  Math.max(0, ...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))))

/** The largest size of a number. */
export const largest = (a: Matrix): number => Math.max(0, ...a.flat().map(Math.abs))

export const identity = (order: number): Matrix =>
  Array.from({ length: order }, (_, i) => Array.from({ length: order }, (_, j) => (i === j ? 1 : 0)))

export const diagonal = (values: readonly number[]): Matrix =>
  identity(values.length).map((row, i) => row.map((x) => x * values[i]!))

/** A rotation, from random numbers by Gram and Schmidt. */
export function rotation(size: number, random: () => number): Matrix {
  const rows: Matrix = []
  while (rows.length < size) {
    let row = Array.from({ length: size }, random)
    for (let again = 0; again < 2; again++) {
      for (const other of rows) {
        const share = row.reduce((sum, value, i) => sum + value * other[i]!, 0)
        row = row.map((value, i) => value - share * other[i]!)
      }
    }
    const norm = Math.hypot(...row)
    if (norm > 1e-3) rows.push(row.map((value) => value / norm))
  }
  return rows
}

/** Numbers in the order of rows as a matrix. */
export const matrixOf = (values: ArrayLike<number>, rows: number, columns: number): Matrix =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => values[i * columns + j]!))

/** x of matrix x = right, by elimination. */
export function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!])
  for (const [k, pivot] of rows.entries()) {
    for (const [i, row] of rows.entries()) {
      if (i === k) continue
      const factor = row[k]! / pivot[k]!
      for (let j = k; j < row.length; j++) row[j]! -= factor * pivot[j]!
    }
  }
  return rows.map((row, i) => row.at(-1)! / row[i]!)
}
