/** The lower factor of Cholesky of a symmetric matrix, row by row; `null` when the matrix is not positive definite. */
export function factor(matrix: readonly Float64Array[]): Float64Array[] | null {
  const lower: Float64Array[] = []
  for (const [row, values] of matrix.entries()) {
    const own = new Float64Array(matrix.length)
    let squares = 0
    for (let column = 0; column < row; column++) {
      const other = lower[column]!
      let sum = 0
      for (let inner = 0; inner < column; inner++) sum += other[inner]! * own[inner]!
      const value = (values[column]! - sum) / other[column]!
      own[column] = value
      squares += value * value
    }
    const pivot = values[row]! - squares
    if (!(pivot > 0)) return null
    own[row] = Math.sqrt(pivot)
    lower.push(own)
  }
  return lower
}

/** The x of `lower x = right`; `first` is where `right` has its first number that is not 0. */
export function solveLower(lower: readonly Float64Array[], right: ArrayLike<number>, first = 0): Float64Array {
  const solution = new Float64Array(lower.length)
  for (let row = first; row < lower.length; row++) {
    const factors = lower[row]!
    let sum = right[row]!
    for (let column = first; column < row; column++) sum -= factors[column]! * solution[column]!
    solution[row] = sum / factors[row]!
  }
  return solution
}

/** The x of `lower' x = right`. */
export function solveUpper(lower: readonly Float64Array[], right: ArrayLike<number>): Float64Array {
  const solution = Float64Array.from(right)
  for (let row = lower.length - 1; row >= 0; row--) {
    const factors = lower[row]!
    const value = solution[row]! / factors[row]!
    solution[row] = value
    for (let column = 0; column < row; column++) solution[column]! -= factors[column]! * value
  }
  return solution
}

/** The sum of the products of two vectors, as long as the first. */
export function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!
  return sum
}
