/** Vectors and small symmetric matrices in float64, for methods that see all parameters as one vector. */

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

export function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a))
}

export function scaled(a: Float64Array, factor: number): Float64Array {
  return a.map((value) => value * factor)
}

/** `target ← target - factor other`. */
export function subtract(target: Float64Array, factor: number, other: ArrayLike<number>): void {
  for (let i = 0; i < target.length; i++) target[i]! -= factor * other[i]!
}

/** `a + factor b`. */
export function moved(a: Float64Array, factor: number, b: ArrayLike<number>): Float64Array {
  const result = a.slice()
  subtract(result, -factor, b)
  return result
}

/** The largest absolute value; not a number if one is not. */
export function largest(a: Float64Array): number {
  return a.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

/** x with A x = b for a symmetric positive definite A, by Cholesky's factors. */
export function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const size = right.length
  const lower = matrix.map((row) => [...row])
  const x = [...right]
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let value = lower[i]![j]!
      for (let k = 0; k < j; k++) value -= lower[i]![k]! * lower[j]![k]!
      lower[i]![j] = i === j ? Math.sqrt(Math.max(value, Number.MIN_VALUE)) : value / lower[j]![j]!
    }
    for (let k = 0; k < i; k++) x[i]! -= lower[i]![k]! * x[k]!
    x[i]! /= lower[i]![i]!
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= lower[k]![i]! * x[k]!
    x[i]! /= lower[i]![i]!
  }
  return x
}

/** The eigenvalues of a symmetric matrix, ascending, and their unit vectors, by Jacobi rotations. */
export function symmetricEigen(symmetric: readonly (readonly number[])[]): {
  readonly values: number[]
  readonly vectors: number[][]
} {
  const matrix = symmetric.map((row) => [...row])
  const size = matrix.length
  const vectors = matrix.map((_, row) => matrix.map((_, column) => (row === column ? 1 : 0)))
  const magnitude = Math.sqrt(matrix.reduce((sum, row) => sum + dot(row, row), 0))
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    for (let row = 0; row < size; row++) {
      for (let column = row + 1; column < size; column++) {
        const value = matrix[row]![column]!
        off = Math.max(off, Math.abs(value))
        if (value !== 0) rotate(matrix, vectors, row, column)
      }
    }
    if (off <= 1e-16 * magnitude) break
  }
  const order = matrix.map((_, index) => index).sort((a, b) => matrix[a]![a]! - matrix[b]![b]!)
  return { values: order.map((index) => matrix[index]![index]!), vectors: order.map((index) => vectors[index]!) }
}

/** One Jacobi rotation, which makes `matrix[p][q]` zero; `vectors` holds one eigenvector per row. */
function rotate(matrix: number[][], vectors: number[][], p: number, q: number): void {
  const theta = (matrix[q]![q]! - matrix[p]![p]!) / (2 * matrix[p]![q]!)
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1))
  const cosine = 1 / Math.hypot(tangent, 1)
  const sine = tangent * cosine
  for (const row of matrix) turn(row, p, q, cosine, sine)
  for (const rows of [matrix, vectors]) {
    for (let k = 0; k < rows.length; k++) {
      const [a, b] = [rows[p]![k]!, rows[q]![k]!]
      rows[p]![k] = cosine * a - sine * b
      rows[q]![k] = sine * a + cosine * b
    }
  }
}

function turn(row: number[], p: number, q: number, cosine: number, sine: number): void {
  const [a, b] = [row[p]!, row[q]!]
  row[p] = cosine * a - sine * b
  row[q] = sine * a + cosine * b
}

/** x with A x = b for any regular A, by elimination with row exchanges. @throws Error for a matrix that is singular. */
export function eliminate(
  caller: string,
  matrix: readonly ArrayLike<number>[],
  right: ArrayLike<number>,
): Float64Array {
  const size = right.length
  const rows = matrix.map((row, i) =>
    Float64Array.from({ length: size + 1 }, (_, j) => (j < size ? row[j]! : right[i]!)),
  )
  for (let k = 0; k < size; k++) {
    let pivot = k
    for (let i = k + 1; i < size; i++) if (Math.abs(rows[i]![k]!) > Math.abs(rows[pivot]![k]!)) pivot = i
    ;[rows[k], rows[pivot]] = [rows[pivot]!, rows[k]!]
    const top = rows[k]!
    if (!(Math.abs(top[k]!) > 0 && Number.isFinite(top[k]!))) {
      throw new Error(
        `${caller}: the system of ${size} equations is singular or not finite; a larger damping would help`,
      )
    }
    for (let i = k + 1; i < size; i++) {
      const factor = rows[i]![k]! / top[k]!
      if (factor !== 0) subtract(rows[i]!, factor, top)
    }
  }
  const x = new Float64Array(size)
  for (let i = size - 1; i >= 0; i--) {
    const row = rows[i]!
    let value = row[size]!
    for (let j = i + 1; j < size; j++) value -= row[j]! * x[j]!
    x[i] = value / row[i]!
  }
  return x
}
