import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type CompletionState, completeMatrix, type Entry } from '../src/index.ts'
import { dot } from '../src/vector.ts'

/** A matrix of rank k of draws, each entry known with some probability. */
function partlyKnown(rows: number, columns: number, rank: number, share: number, seed: number) {
  const draws = new Draws(seed)
  const factor = (count: number) =>
    Array.from({ length: count }, () => Float64Array.from({ length: rank }, () => draws.normal()))
  const [left, right] = [factor(rows), factor(columns)]
  const truth = (row: number, column: number) => dot(left[row]!, right[column]!)
  const entries: Entry[] = []
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (draws.uniform() < share) entries.push({ row, column, value: truth(row, column) })
    }
  }
  return { truth, entries, rows, columns, rank }
}

describe('robust alternating minimization', () => {
  const problem = partlyKnown(36, 30, 2, 0.5, 1)
  const { truth, entries, ...sizes } = problem
  const errorOf = ({ left, right }: Pick<CompletionState, 'left' | 'right'>) => {
    let [error, size] = [0, 0]
    for (let i = 0; i < sizes.rows; i++) {
      for (let j = 0; j < sizes.columns; j++) {
        error += (dot(left[i]!, right[j]!) - truth(i, j)) ** 2
        size += truth(i, j) ** 2
      }
    }
    return Math.sqrt(error / size)
  }

  it.each([1e-8, 0.1, 0.5])(
    'halves the error of the whole matrix in each turn with least squares to %s',
    (accuracy) => {
      const errors: number[] = []
      const { status, at } = completeMatrix(entries, {
        ...sizes,
        accuracy,
        callback: (state) => errors.push(errorOf(state)),
      })
      expect(status).toEqual({ kind: 'converged', test: 'residual' })
      expect(at(3, 4)).toBeCloseTo(truth(3, 4), 5)
      expect(errors.length).toBeGreaterThan(3)
      errors.forEach((error, turn) => {
        expect(error).toBeLessThanOrEqual(0.5 ** turn + 1e-7)
      })
    },
  )

  it('saves steps by solving less exactly', () => {
    // About 56 rows of each least squares in sketches of 32: the preconditioner is not exact.
    const wide = partlyKnown(50, 70, 4, 0.8, 2)
    const runs = [1e-8, 0.1].map((accuracy) => completeMatrix(wide.entries, { ...wide, accuracy }))
    for (const { status } of runs) expect(status.kind).toBe('converged')
    expect(runs[1]!.steps).toBeLessThan(0.7 * runs[0]!.steps)
  })

  it('says so where the rank is too low, takes rows without entries, says what is wrong, same seed same run', () => {
    expect(completeMatrix(entries, { ...sizes, rank: 1 }).status.kind).toBe('failed')
    const [first, again] = [0, 1].map(() => completeMatrix(entries, { ...sizes, seed: 3 }).residual)
    expect(first).toBe(again)
    const few = completeMatrix([{ row: 0, column: 0, value: 2 }], { rows: 3, columns: 2, rank: 1 })
    expect(few.at(0, 0)).toBeCloseTo(2, 6)
    expect(completeMatrix([{ row: 0, column: 0, value: 0 }], { rows: 1, columns: 1, rank: 1 }).status.kind).toBe(
      'converged',
    )
    expect(completeMatrix(entries, { ...sizes, iterations: 2 }).status).toEqual({ kind: 'limit', of: 'iterations' })
    expect(() => completeMatrix(entries, { ...sizes, rank: 31 })).toThrow('rank: 31')
    expect(() => completeMatrix([], sizes)).toThrow('entries')
    expect(() => completeMatrix([{ row: 36, column: 0, value: 1 }], sizes)).toThrow('entries[0]')
    expect(() => completeMatrix([{ row: 0, column: 0, value: Number.NaN }], sizes)).toThrow('entries[0]: NaN')
  })
})
