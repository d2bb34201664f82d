import { Matrix, QrDecomposition, SVD } from 'ml-matrix'
import { type DoorLimits, runSolver } from './door.ts'
import { Draws } from './draws.ts'
import type { Status } from './state.ts'
import { dot, norm, plus, scaled } from './vector.ts'

/** One known entry of a matrix. */
export interface Entry {
  readonly row: number
  readonly column: number
  readonly value: number
}

/** After both factors were updated. */
export interface CompletionState {
  /** Rows of U, one for each row of the matrix. */
  readonly left: readonly Float64Array[]
  /** Rows of V, one for each column of it. */
  readonly right: readonly Float64Array[]
  /** The length of U Vᵀ - M over the entries that are known, relative to that of M. */
  readonly residual: number
  /** Steps of conjugate gradients so far. */
  readonly steps: number
}

export interface CompletionOptions extends DoorLimits<CompletionState> {
  readonly rows: number
  readonly columns: number
  readonly rank: number
  /** How exactly the least squares of a half-step are solved, by the preconditioned gradient relative to its first. Default 0.01. */
  readonly accuracy?: number
  /** Largest residual. Default 1e-8. */
  readonly tolerance?: number
  /** Default 0. */
  readonly seed?: number
}

export interface CompletionResult extends CompletionState {
  readonly iterations: number
  readonly status: Status
  /** U Vᵀ there. */
  at(row: number, column: number): number
}

/**
 * Completes a matrix of low rank from some of its entries: U and V by turns, each the solution of least squares in the other, which need not be
 * exact. It begins with the leading singular vectors of what is known, zero elsewhere, without the rows that are longer than twice √(k / m).
 * Each row's least squares are solved by conjugate gradients on a sketch's QR as the preconditioner, which takes log 1 / `accuracy` steps; V is then made
 * orthonormal. For matrices whose singular vectors are spread over rows and columns, known at random, the error halves at least with each turn.
 *
 * Y. Gu, Z. Song, J. Yin, L. Zhang (2023), Low Rank Matrix Completion via Robust Alternating Minimization in Nearly Linear Time, arXiv 2302.11068. The
 * paper takes new entries for each turn, which its proof needs; here all are used in each, as is usual. The sketch adds rows with random signs.
 *
 * @throws RangeError for entries outside of the matrix or that are not finite, none at all, and a rank that does not fit.
 */
export function completeMatrix(entries: Iterable<Entry>, options: CompletionOptions): CompletionResult {
  const { rows, columns, rank, accuracy = 0.01, tolerance = 1e-8, seed = 0, iterations = 1000 } = options
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= Math.min(rows, columns))) {
    throw new RangeError(`rank: ${rank} is not a whole number from 1 to ${Math.min(rows, columns)}`)
  }
  if (!(accuracy > 0 && accuracy < 1)) throw new RangeError(`accuracy: ${accuracy} is not between 0 and 1`)
  const known = [...entries]
  if (known.length === 0) throw new RangeError('entries: there are none')
  known.forEach(({ row, column, value }, i) => {
    if (
      !(Number.isInteger(row) && row >= 0 && row < rows && Number.isInteger(column) && column >= 0 && column < columns)
    ) {
      throw new RangeError(`entries[${i}]: (${row}, ${column}) is outside of ${rows} rows and ${columns} columns`)
    }
    if (!Number.isFinite(value)) throw new RangeError(`entries[${i}]: ${value} is not a finite number`)
  })
  const draws = new Draws(seed)
  const byRow = listed(known, rows, ({ row }) => row)
  const byColumn = listed(known, columns, ({ column }) => column)
  const size = norm(Float64Array.from(known, ({ value }) => value))
  let steps = 0
  let right: Float64Array[] = spectralStart(known, rows, columns, rank)
  let left: Float64Array[] = Array.from({ length: rows }, () => new Float64Array(rank))

  /** Each of `unknown` by least squares in the rows of `given`, beginning at what it is. */
  const halfStep = (unknown: Float64Array[], given: readonly Float64Array[], lists: Entry[][], by: 'row' | 'column') =>
    unknown.map((from, i) => {
      const list = lists[i]!
      if (list.length === 0) return from
      const matrix = list.map((entry) => given[entry[by]]!)
      const solved = leastSquaresBySketch(
        matrix,
        Float64Array.from(list, ({ value }) => value),
        from,
        accuracy,
        draws,
      )
      steps += solved.steps
      return solved.point
    })

  function* turns(): Generator<CompletionState, Status, void> {
    let before = Infinity
    let idle = 0
    for (;;) {
      left = halfStep(left, right, byRow, 'column')
      // What V takes from U is only its span; V begins at the solution for the U before, in the new coordinates.
      const turned = orthonormal(left)
      left = turned.q
      right = halfStep(
        right.map((row) => Float64Array.from(turned.r, (of) => dot(of, row))),
        left,
        byColumn,
        'row',
      )
      const errors = Float64Array.from(known, ({ row, column, value }) => dot(left[row]!, right[column]!) - value)
      const residual = size === 0 ? norm(errors) : norm(errors) / size
      yield { left, right, residual, steps }
      if (residual <= tolerance) return { kind: 'converged', test: 'residual' }
      idle = residual > 0.9999 * before ? idle + 1 : 0
      before = Math.min(before, residual)
      if (idle >= 20) {
        return { kind: 'failed', reason: `the residual stays at ${residual}: no matrix of rank ${rank} was found` }
      }
      const spanned = orthonormal(right)
      left = left.map((row) => Float64Array.from(spanned.r, (of) => dot(of, row)))
      right = spanned.q
    }
  }

  const ended = runSolver(turns(), { ...options, iterations: iterations - 1 })
  const best = ended.best ?? { left, right, residual: Infinity, steps }
  return {
    ...best,
    iterations: ended.iterations + 1,
    status: ended.status,
    at: (row, column) => dot(best.left[row]!, best.right[column]!),
  }
}

function listed(known: Entry[], count: number, of: (entry: Entry) => number): Entry[][] {
  const lists: Entry[][] = Array.from({ length: count }, () => [])
  for (const entry of known) lists[of(entry)]!.push(entry)
  return lists
}

/** The leading right singular vectors of the known entries, without the rows that are too long, orthonormal. */
function spectralStart(known: Entry[], rows: number, columns: number, rank: number): Float64Array[] {
  const matrix = Matrix.zeros(rows, columns)
  for (const { row, column, value } of known) matrix.set(row, column, value)
  const svd = new SVD(matrix, { autoTranspose: true })
  const vectors = svd.rightSingularVectors
  const order = svd.diagonal.map((_, k) => k).sort((a, b) => svd.diagonal[b]! - svd.diagonal[a]!)
  const longest = 2 * Math.sqrt(rank / columns)
  const start = Array.from({ length: columns }, (_, j) => {
    const row = Float64Array.from(order.slice(0, rank), (k) => vectors.get(j, k))
    return norm(row) > longest ? scaled(longest / norm(row), row) : row
  })
  return orthonormal(start).q
}

/** The QR factors of a matrix of rows. */
function orthonormal(matrix: readonly Float64Array[]): { q: Float64Array[]; r: Float64Array[] } {
  const qr = new QrDecomposition(new Matrix(matrix.map((row) => [...row])))
  return {
    q: qr.orthogonalMatrix.to2DArray().map((row) => Float64Array.from(row)),
    r: qr.upperTriangularMatrix.to2DArray().map((row) => Float64Array.from(row)),
  }
}

/**
 * The minimum over x of |A x - b|² by conjugate gradients for A R⁻¹, R being that of the QR of a sketch of A, whose condition is then a small
 * constant, whatever that of A is.
 */
function leastSquaresBySketch(
  matrix: readonly Float64Array[],
  b: Float64Array,
  start: Float64Array,
  accuracy: number,
  draws: Draws,
): { readonly point: Float64Array; readonly steps: number } {
  const k = start.length
  const buckets = 8 * k
  let sketch: Float64Array[] = matrix.map((row) => Float64Array.from(row))
  if (matrix.length > buckets) {
    sketch = Array.from({ length: buckets }, () => new Float64Array(k))
    for (const row of matrix) {
      const bucket = draws.below(buckets)
      sketch[bucket] = plus(sketch[bucket]!, draws.below(2) === 0 ? 1 : -1, row)
    }
  }
  while (sketch.length < k) sketch.push(new Float64Array(k))
  const { r } = orthonormal(sketch)
  const largest = Math.max(...r.map((row, i) => Math.abs(row[i]!)))
  if (largest === 0) return { point: start, steps: 0 }
  // Directions that nothing is known of stay as they are.
  const usable = r.map((row, i) => Math.abs(row[i]!) > 1e-10 * largest)
  const solve = (y: Float64Array) => {
    const x = new Float64Array(k)
    for (let i = k - 1; i >= 0; i--) {
      if (!usable[i]) continue
      let sum = y[i]!
      for (let j = i + 1; j < k; j++) sum -= r[i]![j]! * x[j]!
      x[i] = sum / r[i]![i]!
    }
    return x
  }
  const solveTransposed = (g: Float64Array) => {
    const y = new Float64Array(k)
    for (let i = 0; i < k; i++) {
      if (!usable[i]) continue
      let sum = g[i]!
      for (let j = 0; j < i; j++) sum -= r[j]![i]! * y[j]!
      y[i] = sum / r[i]![i]!
    }
    return y
  }
  const gradient = (errors: Float64Array) =>
    solveTransposed(matrix.reduce((sum, row, i) => plus(sum, errors[i]!, row), new Float64Array(k)))
  let x: Float64Array = start
  let errors: Float64Array = Float64Array.from(matrix, (row, i) => b[i]! - dot(row, x))
  let slope: Float64Array = gradient(errors)
  let direction: Float64Array = slope
  const first = norm(slope)
  let steps = 0
  while (norm(slope) > accuracy * first && steps < 50) {
    const along = solve(direction)
    const change = Float64Array.from(matrix, (row) => dot(row, along))
    const squared = dot(change, change)
    if (!(squared > 0)) break
    const length = dot(slope, slope) / squared
    x = plus(x, length, along)
    errors = plus(errors, -length, change)
    const next = gradient(errors)
    direction = plus(next, dot(next, next) / dot(slope, slope), direction)
    slope = next
    steps++
  }
  return { point: x, steps }
}
