import { inverse, Matrix } from 'ml-matrix'
import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { topologicalSwaps } from '../src/index.ts'

/** A model of p variables in a drawn order, each edge there with probability 1/2. */
function model(p: number, seed: number) {
  const draws = new Draws(seed)
  const order = Array.from({ length: p }, (_, i) => i)
  order.forEach((_, i) => {
    const other = i + draws.below(p - i)
    ;[order[i], order[other]] = [order[other]!, order[i]!]
  })
  const weights = Array.from({ length: p }, () => new Float64Array(p))
  order.forEach((i, a) => {
    for (const j of order.slice(a + 1)) {
      if (draws.uniform() < 0.5) weights[i]![j] = (draws.uniform() < 0.5 ? -1 : 1) * (0.5 + draws.uniform())
    }
  })
  const mixing = inverse(new Matrix(weights.map((row, i) => [...row].map((each, j) => (i === j ? 1 : 0) - each))))
  return { weights, mixing, draws }
}

/** Rows whose second moments are exactly those of noise of variance 1 through the model. */
const exact = (p: number, mixing: Matrix) => mixing.to2DArray().map((row) => row.map((each) => each * Math.sqrt(p)))

const furthest = (a: readonly Float64Array[], b: readonly Float64Array[]) =>
  Math.max(...a.flatMap((row, i) => [...row].map((each, j) => Math.abs(each - b[i]![j]!))))

describe('topologicalSwaps', () => {
  it('recovers most linear models from their second moments, and the score falls with each swap', () => {
    let recovered = 0
    for (let seed = 1; seed <= 20; seed++) {
      const { weights, mixing } = model(7, seed)
      const scores: number[] = []
      const found = topologicalSwaps(exact(7, mixing), {
        callback: ({ score }) => {
          scores.push(score)
        },
      })
      expect(found.status).toEqual({ kind: 'converged', test: 'conditions' })
      expect(found.iterations).toBeGreaterThan(0)
      scores.slice(1).forEach((score, k) => {
        expect(score).toBeLessThan(scores[k]!)
      })
      // The truth is the only minimum of all where the noise is equal; a local one stays above it.
      expect(found.score).toBeGreaterThan(7 / 2 - 1e-8)
      if (found.score < 7 / 2 + 1e-8) {
        recovered++
        expect(furthest(found.weights, weights)).toBeLessThan(1e-6)
      }
    }
    expect(recovered).toBeGreaterThanOrEqual(13)
  })

  it('recovers the order from samples', () => {
    const { weights, mixing, draws } = model(6, 9)
    const noise = Array.from({ length: 3000 }, () => Array.from({ length: 6 }, () => draws.normal()))
    const found = topologicalSwaps(new Matrix(noise).mmul(mixing).to2DArray(), { order: [5, 4, 3, 2, 1, 0] })
    weights.forEach((row, i) => {
      row.forEach((each, j) => {
        if (each !== 0) expect(found.order.indexOf(i)).toBeLessThan(found.order.indexOf(j))
      })
    })
    expect(furthest(found.weights, weights)).toBeLessThan(0.15)
  })

  it('ends where the conditions of Karush, Kuhn and Tucker hold, whatever it began with', () => {
    const { mixing } = model(5, 3)
    // Unequal noise, for which the truth need not be the minimum.
    const rows = exact(5, mixing).map((row, k) => row.map((each) => each * (1 + k)))
    const moment = (i: number, j: number) => rows.reduce((sum, row) => sum + (row[i]! * row[j]!) / 5, 0)
    for (const order of [
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [2, 0, 4, 1, 3],
    ]) {
      const { weights, residual, score } = topologicalSwaps(rows, { order })
      expect(score).toBeLessThanOrEqual(topologicalSwaps(rows, { order, iterations: 0 }).score)
      expect(residual).toBeLessThan(1e-6)
      // By hand: the slope at i -> j, wherever no path leads from j back to i.
      const leads = (from: number, to: number): boolean =>
        from === to || weights[from]!.some((each, next) => Math.abs(each) > 1e-8 && leads(next, to))
      for (let i = 0; i < 5; i++) {
        for (let j = 0; j < 5; j++) {
          const slope = weights.reduce((sum, row, k) => sum + moment(i, k) * row[j]!, -moment(i, j))
          if (!leads(j, i)) expect(Math.abs(slope)).toBeLessThan(1e-6)
        }
      }
    }
  })

  it('takes none and one variable, and says what is wrong', () => {
    expect(topologicalSwaps([]).score).toBe(0)
    expect(topologicalSwaps([[2], [0]]).score).toBe(1)
    expect(() =>
      topologicalSwaps([
        [1, 2],
        [2, 4],
      ]),
    ).toThrow('variable 1 is a linear combination')
    expect(() => topologicalSwaps([[1, 2], [2]])).toThrow('samples[1]: 1 numbers')
    expect(() => topologicalSwaps([[1, Number.NaN]])).toThrow('samples[0][1]: NaN')
    expect(() =>
      topologicalSwaps(
        [
          [1, 0],
          [0, 1],
        ],
        { order: [0, 0] },
      ),
    ).toThrow('order: [0, 0]')
  })
})
