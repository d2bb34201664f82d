import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type AbsoluteResiduals, type WeaklyConvexMethodName, weaklyConvex, weaklyConvexMethods } from '../src/index.ts'
import { dot } from '../src/vector.ts'

const names = Object.keys(weaklyConvexMethods) as WeaklyConvexMethodName[]

/** Robust phase retrieval: |(a · x)² - b|, b being that of a signal. */
function phaseRetrieval(n: number, count: number, seed: number) {
  const draws = new Draws(seed)
  const rows = Array.from({ length: count }, () => Float64Array.from({ length: n }, () => draws.normal()))
  const signal = Float64Array.from({ length: n }, () => draws.normal())
  const length = Math.sqrt(dot(signal, signal))
  for (let i = 0; i < n; i++) signal[i]! /= length
  const problem: AbsoluteResiduals = {
    count,
    residual: (x, i) => dot(rows[i]!, x) ** 2 - dot(rows[i]!, signal) ** 2,
    gradient: (x, i) => rows[i]!.map((each) => 2 * each * dot(rows[i]!, x)),
  }
  const start = signal.map((each) => each + (0.4 * draws.normal()) / Math.sqrt(n))
  return { problem, signal, start, rows }
}

describe('model-based methods on phase retrieval', () => {
  it('prox-linear and proximal point steps do no harm where those along subgradients are far too long', () => {
    const { problem, start } = phaseRetrieval(10, 60, 1)
    const values = names.map((method) =>
      [0.05, 100].map((step) => weaklyConvex(problem, start, { method, step, iterations: 3000 }).value),
    )
    const [subgradient, proxLinear, proximalPoint] = values as [number[], number[], number[]]
    expect(subgradient[0]).toBeLessThan(0.05)
    expect(subgradient[1]).toBeGreaterThan(1e3)
    for (const [small, large] of [proxLinear, proximalPoint]) {
      expect(small).toBeLessThan(1e-9)
      expect(large).toBeLessThan(1e-9)
    }
  })

  it('proximal points are those of the closed form', () => {
    // For |(a · x)² - b| the point lies on x + R a: of the four candidates the least.
    const { problem, start, rows, signal } = phaseRetrieval(4, 20, 2)
    for (let i = 0; i < 20; i++) {
      const [a, step] = [rows[i]!, 0.02]
      const b = dot(a, signal) ** 2
      const [squared, along] = [dot(a, a), dot(a, start)]
      const model = (t: number) => Math.abs((along + t * squared) ** 2 - b) + (t * t * squared) / (2 * step)
      const candidates = [1, -1].flatMap((sign) => [
        (-2 * sign * step * along) / (1 + 2 * sign * step * squared),
        (sign * Math.sqrt(b) - along) / squared,
      ])
      const best = candidates.reduce((least, t) => (model(t) < model(least) ? t : least))
      const found = weaklyConvexMethods.proximalPoint.next(
        (x) => ({ residual: problem.residual(x, i), gradient: Float64Array.from(problem.gradient(x, i)) }),
        start,
        step,
      )
      const t = dot(
        a,
        found.map((each, j) => each - start[j]!),
      )
      expect(model(t / squared)).toBeLessThanOrEqual(model(best) + 1e-9)
    }
  })

  it.each(names)('%s: the squared gradient of the Moreau envelope falls as 1 / √T at least', (method) => {
    // In one variable, where the envelope is at hand: the mean of |a² x² - a²|, of weak convexity 2 max a².
    const weights = [0.3, 0.7, 1, 1.2]
    const problem: AbsoluteResiduals = {
      count: 4,
      residual: (x, i) => weights[i]! * (x[0]! ** 2 - 1) + 0.2 * (i - 1.5),
      gradient: (x, i) => [2 * weights[i]! * x[0]!],
    }
    const f = (x: number) =>
      [0, 1, 2, 3].reduce((sum, i) => sum + Math.abs(problem.residual(Float64Array.of(x), i)) / 4, 0)
    const rho = 2 * 1.2
    const [bar, lipschitz] = [2 * rho, 2 * 1.2 * 3]
    const envelope = (x: number) => {
      // f(y) + ρ̄ (y - x)² / 2 is strongly convex: golden sections.
      let [low, high] = [x - 4, x + 4]
      const g = (y: number) => f(y) + (bar * (y - x) ** 2) / 2
      for (let k = 0; k < 100; k++) {
        const [left, right] = [low + 0.382 * (high - low), low + 0.618 * (high - low)]
        if (g(left) < g(right)) high = right
        else low = left
      }
      const y = (low + high) / 2
      return { value: g(y), slope: bar * (x - y) }
    }
    const least = Math.min(...Array.from({ length: 4000 }, (_, k) => f(k / 1000)))
    const gap = envelope(3).value - least
    const means = [25, 400].map((iterations) => {
      const squares = Array.from(
        { length: 20 },
        (_, seed) => envelope(weaklyConvex(problem, [3], { method, step: 0.5, iterations, seed }).drawn[0]!).slope ** 2,
      )
      const mean = squares.reduce((sum, each) => sum + each / 20, 0)
      const size = 0.5 / Math.sqrt(iterations + 1)
      const bound =
        ((bar / (bar - rho)) * (gap + (bar * lipschitz ** 2 * iterations * size ** 2) / 2)) / (iterations * size)
      expect(mean).toBeLessThanOrEqual(bound)
      return mean
    })
    // Sixteen times as many steps: a quarter.
    expect(means[1]).toBeLessThan(means[0]! / 4)
  })

  it('keeps what it has where a residual throws, says what is wrong, same seed same run', () => {
    const { problem, start } = phaseRetrieval(3, 10, 4)
    const given = [...start]
    const twice = [0, 1].map(() => weaklyConvex(problem, start, { iterations: 50, seed: 5 }).point)
    expect(twice[0]).toEqual(twice[1])
    expect([...start]).toEqual(given)
    let calls = 0
    const thrown = weaklyConvex(
      {
        ...problem,
        residual: (x, i) => {
          if (++calls > 5) throw new Error('no more')
          return problem.residual(x, i)
        },
      },
      start,
    )
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(thrown.point.every(Number.isFinite)).toBe(true)
    expect(() => weaklyConvex(problem, start, { step: 0 })).toThrow('step: 0')
    expect(() => weaklyConvex({ ...problem, count: 0 }, start)).toThrow('count: 0')
    expect(() => weaklyConvex(problem, [Number.NaN])).toThrow('start[0]')
    expect(weaklyConvex({ count: 1, residual: () => 3, gradient: () => [] }, []).value).toBe(3)
  })
})
