import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type ConvexOptions, type ConvexState, convex } from '../src/index.ts'
import { dot } from '../src/vector.ts'

/** x · A x / 2 - b · x with A of draws plus α I. */
function quadratic(n: number, alpha: number, seed: number) {
  const draws = new Draws(seed)
  const factors = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, () => (draws.normal() * (i < 3 ? 3 : 0.3)) / Math.sqrt(n)),
  )
  const matrix = factors.map((_, i) =>
    Float64Array.from({ length: n }, (_, j) =>
      factors.reduce((sum, row) => sum + row[i]! * row[j]!, i === j ? alpha : 0),
    ),
  )
  const b = Float64Array.from({ length: n }, () => draws.normal())
  const gradient = (x: Float64Array) => Float64Array.from(matrix, (row, i) => dot(row, x) - b[i]!)
  return {
    matrix,
    value: (x: Float64Array) => matrix.reduce((sum, row, i) => sum + x[i]! * (dot(row, x) / 2 - b[i]!), 0),
    gradient,
    hessianProduct: (_: Float64Array, d: Float64Array) => Float64Array.from(matrix, (row) => dot(row, d)),
  }
}

/** Labels spread over a square of vertices: Σ over edges (x_i - x_j)² / 2, and (x_i - label)² / 2 where there is one. */
function labels(side: number): ReturnType<typeof quadratic> {
  const n = side * side
  const matrix = Array.from({ length: n }, () => new Float64Array(n))
  const b = new Float64Array(n)
  const edge = (i: number, j: number) => {
    matrix[i]![i]! += 1
    matrix[j]![j]! += 1
    matrix[i]![j]! -= 1
    matrix[j]![i]! -= 1
  }
  for (let i = 0; i < n; i++) {
    if (i % side < side - 1) edge(i, i + 1)
    if (i + side < n) edge(i, i + side)
  }
  for (const i of [0, n - 1, side + 2, n - side - 3]) {
    matrix[i]![i]! += 1
    b[i] = i < n / 2 ? 1 : -1
  }
  return {
    matrix,
    value: (x) => matrix.reduce((sum, row, i) => sum + x[i]! * (dot(row, x) / 2 - b[i]!), 0),
    gradient: (x) => Float64Array.from(matrix, (row, i) => dot(row, x) - b[i]!),
    hessianProduct: (_, d) => Float64Array.from(matrix, (row) => dot(row, d)),
  }
}

function run(objective: ReturnType<typeof quadratic>, start: Float64Array, options: ConvexOptions) {
  const states: ConvexState[] = []
  const result = convex(objective, start, {
    method: 'blockCoordinateDescent',
    tolerance: 1e-8,
    ...options,
    callback: (state) => states.push(state),
  })
  return { ...result, states }
}

describe('greedy block coordinate descent', () => {
  const n = 30
  const alpha = 0.1
  const f = quadratic(n, alpha, 1)
  const start = new Float64Array(n)

  it('lowers a quadratic by what its rule promises, and by 1 - μ / n of the rest at least', () => {
    for (const blockSize of [3, 6]) {
      const { states, value: least, status } = run(f, start, { blockSize, iterations: 20_000 })
      expect(status.kind).toBe('converged')
      const lengths = f.matrix.map((row, i) => row[i]!)
      // A is at least α I, so that μ in the norm with weights L is at least α / max L.
      const rate = 1 - alpha / Math.max(...lengths) / n
      for (let k = 1; k < states.length; k++) {
        const before = states[k - 1]!
        const now = states[k]!
        const slopes = f.gradient(before.point)
        const best = Array.from(slopes, (slope, i) => slope ** 2 / lengths[i]!).sort((a, b) => b - a)
        const promised = best.slice(0, blockSize).reduce((sum, each) => sum + each, 0) / (2 * blockSize)
        expect(before.value - now.value).toBeGreaterThanOrEqual(promised * (1 - 1e-6) - 1e-12)
        expect(now.value - least).toBeLessThanOrEqual(rate * (before.value - least) + 1e-12)
      }
    }
  })

  it('needs fewer steps to a gap of 1e-3 with greedy variable blocks than with fixed or random ones', () => {
    const counts = (objective: typeof f, blockSize: number, accuracy: number) => {
      const n = objective.matrix.length
      const least = run(objective, new Float64Array(n), { blockSize: n, iterations: 20 }).value
      const gap = objective.value(new Float64Array(n)) - least
      return (['greedy', 'fixed', 'random'] as const).map((block) => {
        const { states } = run(objective, new Float64Array(n), { blockSize, block, iterations: 200 })
        return states.findIndex(({ value }) => value - least <= accuracy * gap)
      })
    }
    const dense = counts(f, 5, 1e-3)
    expect(dense[0]).toBeGreaterThan(0)
    expect(dense[0]).toBeLessThan(dense[1]!)
    expect(dense[0]).toBeLessThan(dense[2]!)
    const graph = counts(labels(6), 5, 1e-3)
    expect(graph[0]).toBeGreaterThan(0)
    expect(graph[0]).toBeLessThan(graph[2]! / 2)
  })

  it('finds which variables are at their bounds after finitely many steps, and then the minimum itself', () => {
    const g = quadratic(n, 1, 3)
    const bounds = Array.from({ length: n }, () => [0, null] as const)
    const wide = run(g, new Float64Array(n).fill(1), { bounds, blockSize: n, iterations: 200 })
    expect(wide.status.kind).toBe('converged')
    const support = (x: Float64Array) => Array.from(x, (each) => (each > 0 ? '+' : '0')).join('')
    const known = support(wide.point)
    const count = [...known].filter((each) => each === '+').length
    expect(count).toBeGreaterThan(3)
    expect(count).toBeLessThan(n - 3)
    // Optimality: no slope inside, none that leads inside at a bound.
    g.gradient(wide.point).forEach((slope, i) => {
      if (wide.point[i]! > 0) expect(Math.abs(slope)).toBeLessThan(1e-7)
      else expect(slope).toBeGreaterThan(0)
    })
    const { states, point } = run(g, new Float64Array(n).fill(1), { bounds, blockSize: count, iterations: 400 })
    expect(support(point)).toBe(known)
    const identified = states.findIndex((_, k) => states.slice(k).every((state) => support(state.point) === known))
    expect(identified).toBeGreaterThan(0)
    // One step more, as all that is free fits into a block.
    expect(states.length - 1 - identified).toBeLessThanOrEqual(2)
    const narrow = run(g, new Float64Array(n).fill(1), { bounds, blockSize: 3, iterations: 4000 })
    expect(support(narrow.point)).toBe(known)
  })
})
