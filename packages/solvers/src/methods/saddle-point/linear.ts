import { LuDecomposition, Matrix } from 'ml-matrix'

/** Solves A d = b where A is given by its products; undefined where A is singular. */
export function solveLinear(times: (d: Float64Array) => Float64Array, b: Float64Array): Float64Array | undefined {
  const size = b.length
  const matrix = new Matrix(size, size)
  for (let j = 0; j < size; j++) {
    const axis = new Float64Array(size)
    axis[j] = 1
    matrix.setColumn(j, times(axis) as unknown as number[])
  }
  const factors = new LuDecomposition(matrix)
  if (factors.isSingular()) return undefined
  const solution = Float64Array.from(factors.solve(Matrix.columnVector(b)).to1DArray())
  return solution.every(Number.isFinite) ? solution : undefined
}
