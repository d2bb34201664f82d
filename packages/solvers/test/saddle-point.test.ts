import { describe, expect, it } from 'vitest'
import { type Game, type SaddleMethodName, type SaddleOptions, saddleMethods, saddlePoint } from '../src/index.ts'

const product: Game = { gradientX: (_, y) => [y[0]!], gradientY: (x) => [x[0]!] }

/** f = a x² / 2 + b x y + c y² / 2. */
const quadratic = (a: number, b: number, c: number): Game => ({
  gradientX: (x, y) => [a * x[0]! + b * y[0]!],
  gradientY: (x, y) => [b * x[0]! + c * y[0]!],
})

/** F(z) = (p + i q) z on the plane: |F| = |p + i q| |z|, and ρ-comonotone with ρ = -p / (p² + q²) exactly. */
const spiral = (p: number, q: number): Game => ({
  gradientX: (z) => [p * z[0]! - q * z[1]!, q * z[0]! + p * z[1]!],
})

/** By how much the distance to 0 shrinks in an iteration, after the first few. */
function shrinkage(game: Game, start: { x: number[]; y: number[] }, options: SaddleOptions): number {
  const distances: number[] = []
  saddlePoint(game, start, {
    iterations: 40,
    tolerance: 0,
    ...options,
    callback: ({ x, y }) => distances.push(Math.hypot(...x, ...y)),
  })
  return (distances[40]! / distances[20]!) ** (1 / 20)
}

describe('proximal point, extragradient, optimistic gradient', () => {
  const start = { x: [1], y: [0.5] }
  const step = 0.3

  it('shrink a bilinear game in the last iterate as known in closed form', () => {
    expect(shrinkage(product, start, { method: 'proximalPoint', step })).toBeCloseTo(1 / Math.sqrt(1 + step ** 2), 6)
    expect(shrinkage(product, start, { method: 'extragradient', step })).toBeCloseTo(
      Math.sqrt(1 - step ** 2 + step ** 4),
      9,
    )
    // The larger root of λ² - (1 - 2 η i) λ - η i = 0; with s = √(1 - 4 η²) it is (1 + s) / 2 - η i.
    const root = Math.hypot((1 + Math.sqrt(1 - 4 * step ** 2)) / 2, step)
    expect(shrinkage(product, start, { method: 'optimisticGradient', step })).toBeCloseTo(root, 3)
  })

  it('proximal point: converges under negative comonotonicity exactly where the step is above 2 ρ', () => {
    const [p, q] = [-0.5, 1]
    const rho = 0.5 / (p * p + q * q)
    const from = { x: [1, 0], y: [] }
    for (const [each, converges] of [
      [2.2 * rho, true],
      [1.8 * rho, false],
    ] as const) {
      const factor = 1 / Math.sqrt(1 + each * (p * p + q * q) * (each - 2 * rho))
      expect(factor < 1).toBe(converges)
      expect(shrinkage(spiral(p, q), from, { method: 'proximalPoint', step: each })).toBeCloseTo(factor, 6)
    }
  })

  it('extragradient: |F|² ≤ 28 |z⁰ - z*|² / (N η²) in the last iterate at the edge of comonotonicity', () => {
    // ρ = 1 / (8 L), η = 1 / (2 L) = 4 ρ.
    const [L, rho] = [2, 1 / 16]
    const p = -rho * L * L
    const game = spiral(p, Math.sqrt(L * L - p * p))
    const eta = 1 / (2 * L)
    let checked = 0
    saddlePoint(
      game,
      { x: [1, 0], y: [] },
      {
        method: 'extragradient',
        step: eta,
        tolerance: 0,
        iterations: 200,
        callback: ({ x }, N) => {
          if (N === 0) return
          checked++
          expect((L * Math.hypot(...x)) ** 2).toBeLessThanOrEqual(28 / (N * eta * eta))
        },
      },
    )
    expect(checked).toBe(200)
    const factor = (c: { re: number; im: number }) => {
      // |1 - η c + η² c²|
      const re = 1 - eta * c.re + eta * eta * (c.re * c.re - c.im * c.im)
      return Math.hypot(re, -eta * c.im + 2 * eta * eta * c.re * c.im)
    }
    const exact = factor({ re: p, im: Math.sqrt(L * L - p * p) })
    expect(exact).toBeLessThan(1)
    expect(shrinkage(game, { x: [1, 0], y: [] }, { method: 'extragradient', step: eta })).toBeCloseTo(exact, 9)
  })
})

describe('optimistic gradient', () => {
  it('shrinks by the larger root under negative comonotonicity, and diverges where ρ is too large for the step', () => {
    // λ² - (1 - 2 η c) λ - η c = 0 for F(z) = c z, c = p + i q.
    const larger = (eta: number, p: number, q: number) => {
      const [re, im] = [1 - 2 * eta * p, -2 * eta * q]
      // (1 - 2 η c)² + 4 η c, of which the root is taken.
      const [a, b] = [re * re - im * im + 4 * eta * p, 2 * re * im + 4 * eta * q]
      const size = Math.hypot(a, b)
      const root = [Math.sqrt((size + a) / 2), Math.sign(b) * Math.sqrt((size - a) / 2)] as const
      return Math.max(...[1, -1].map((sign) => Math.hypot(re + sign * root[0], im + sign * root[1]) / 2))
    }
    const q = 1
    for (const [p, eta, converges] of [
      [-0.05, 0.3, true],
      [-0.3, 0.3, false],
    ] as const) {
      const expected = larger(eta, p, q)
      expect(expected < 1).toBe(converges)
      const shrunk = shrinkage(spiral(p, q), { x: [1, 0], y: [] }, { method: 'optimisticGradient', step: eta })
      expect(shrunk).toBeCloseTo(expected, 4)
    }
  })
})

describe('two-timescale extragradient', () => {
  const from = { x: [0.1], y: [0.1] }
  it('finds a local minimax point that equal timescales run away from', () => {
    // c < 0 and a - b² / c = 2 > 0, although f is concave in x.
    const game = quadratic(-2, 2, -1)
    const both = { step: 0.1, iterations: 3000, tolerance: 1e-9 }
    expect(saddlePoint(game, from, { ...both, method: 'twoTimescaleExtragradient' }).status.kind).toBe('converged')
    const { residual, status } = saddlePoint(game, from, { ...both, method: 'extragradient' })
    expect(status.kind).not.toBe('converged')
    expect(residual).toBeGreaterThan(1e-2)
  })
  it('finds one whose maximizing player has a Hessian of zero', () => {
    const game = quadratic(-0.2, 1, 0)
    const { status } = saddlePoint(game, from, { method: 'twoTimescaleExtragradient', step: 0.5, tolerance: 1e-9 })
    expect(status.kind).toBe('converged')
  })
  it('avoids a stationary point that is no local minimax point', () => {
    // a - b² / c = -1/2.
    const { status, residual } = saddlePoint(quadratic(-1, 1, -2), from, {
      method: 'twoTimescaleExtragradient',
      iterations: 3000,
    })
    expect(status.kind).not.toBe('converged')
    expect(residual).toBeGreaterThan(1e-3)
  })
})

describe('competitive methods', () => {
  const start = { x: [1], y: [0.5] }
  // On f = x y the move is -(J + α) z / (1 + α²), J the quarter turn.
  const size = (eta: number, alpha: number) => Math.hypot(1 - (eta * alpha) / (1 + alpha ** 2), eta / (1 + alpha ** 2))

  it('competitive gradient descent shrinks a bilinear game at any step', () => {
    for (const step of [0.1, 1, 10]) {
      expect(size(step, step)).toBeLessThan(1)
      const shrunk = shrinkage(product, start, { method: 'competitiveGradient', step })
      expect(shrunk).toBeCloseTo(size(step, step), 5)
    }
  })
  it('CGO keeps the interaction at a small step, where competitive gradient descent loses it', () => {
    const [step, ratio] = [0.05, 1]
    const shrunk = shrinkage(product, start, { method: 'competitiveGradientOptimization', step, ratio })
    expect(shrunk).toBeCloseTo(size(step, ratio), 6)
    // In the limit of small steps: rate α / (1 + α²) of CGO, and 0 of competitive gradient descent.
    expect((1 - shrunk) / step).toBeCloseTo(ratio / (1 + ratio ** 2), 1)
    expect((1 - size(step, step)) / step).toBeLessThan(0.05)
  })
  it('OCGO takes the move twice', () => {
    const [eta, alpha] = [0.4, 0.5]
    const g = { re: alpha / (1 + alpha ** 2), im: 1 / (1 + alpha ** 2) }
    const re = 1 - eta * g.re + eta * eta * (g.re * g.re - g.im * g.im)
    const expected = Math.hypot(re, -eta * g.im + 2 * eta * eta * g.re * g.im)
    const method = 'optimisticCompetitiveGradientOptimization'
    expect(shrinkage(product, start, { method, step: eta, ratio: alpha })).toBeCloseTo(expected, 6)
  })
})

describe('variance-reduced Halpern iteration', () => {
  const count = 64
  // Least squares: part i is 1-cocoercive, and the optimum is known.
  const rows = Array.from({ length: count }, (_, i) => [Math.cos(i), Math.sin(i), Math.cos(2.3 * i)])
  const target = [1, -2, 0.5]
  const size = (row: number[]) => row.reduce((sum, each) => sum + each * each, 0)
  const part = (x: Float64Array, i: number) => {
    const row = rows[i]!
    const error = row.reduce((sum, each, j) => sum + each * (x[j]! - target[j]!), 0) / size(row)
    return row.map((each) => each * error)
  }
  const game: Game = {
    gradientX: (x) => {
      const sum = [0, 0, 0]
      for (let i = 0; i < count; i++) {
        part(x, i).forEach((each, j) => {
          sum[j]! += each / count
        })
      }
      return sum
    },
    parts: { count, field: (x, _, i) => part(x, i) },
  }
  const start = { x: [0, 0, 0], y: [] }
  const distance = Math.hypot(...target)

  it('has |F| ≤ 8 L |z⁰ - z*| / k in the last iterate, with F itself', () => {
    let checked = 0
    const { parts: _, ...whole } = game
    saddlePoint(whole, start, {
      method: 'varianceReducedHalpern',
      step: 0.25,
      tolerance: 0,
      iterations: 300,
      callback: ({ x }, k) => {
        if (k === 0) return
        checked++
        expect(Math.hypot(...game.gradientX(x, x))).toBeLessThanOrEqual((8 * distance) / k)
      },
    })
    expect(checked).toBe(300)
  })
  it('asks for fewer parts than with F itself, and gives the same run for the same seed', () => {
    const solve = (batch: number, seed = 1) =>
      saddlePoint(game, start, { method: 'varianceReducedHalpern', step: 0.25, tolerance: 1e-2, batch, seed })
    const [drawn, whole] = [solve(8), solve(count)]
    expect(drawn.status.kind).toBe('converged')
    expect(Math.max(...game.gradientX(drawn.x, drawn.x).map(Math.abs))).toBeLessThanOrEqual(1e-2)
    expect(drawn.evaluations.parts).toBeLessThan(whole.evaluations.parts)
    expect([...solve(8).x]).toEqual([...drawn.x])
    expect([...solve(8, 2).x]).not.toEqual([...drawn.x])
  })
})

describe('every method of saddlePoint', () => {
  const names = Object.keys(saddleMethods) as SaddleMethodName[]
  // f = |x|² / 2 + x y - y² / 2 - x, with its saddle at (1/2, 1/2).
  const game: Game = {
    gradientX: (x, y) => [x[0]! + y[0]! - 1],
    gradientY: (x, y) => [x[0]! - y[0]!],
  }
  it.each(names)('%s: finds a saddle, changes nothing given, and stops at once where it starts on it', (method) => {
    const [x, y] = [Float64Array.of(3), [-2]]
    // Halpern's rate is 1 / k, not linear.
    const tolerance = method === 'varianceReducedHalpern' ? 1e-3 : 1e-5
    const found = saddlePoint(game, { x, y }, { method, tolerance })
    expect(found.status).toEqual({ kind: 'converged', test: 'residual' })
    expect(found.x[0]).toBeCloseTo(0.5, 2)
    expect(found.y[0]).toBeCloseTo(0.5, 2)
    expect([x[0], y[0]]).toEqual([3, -2])
    expect(saddlePoint(game, { x: [0.5], y: [0.5] }, { method })).toMatchObject({
      iterations: 0,
      status: { kind: 'converged' },
    })
  })
  it.each(names)('%s: no variables, gradients that throw, are not numbers, or overflow', (method) => {
    const none = saddlePoint({ gradientX: () => [], gradientY: () => [] }, { x: [], y: [] }, { method })
    expect(none.status.kind).toBe('converged')
    let asked = 0
    const throwing: Game = {
      ...game,
      gradientX: (x, y) => {
        if (++asked > 5) throw new Error('no more')
        return game.gradientX(x, y)
      },
    }
    const thrown = saddlePoint(throwing, { x: [3], y: [-2] }, { method })
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(Number.isFinite(thrown.residual)).toBe(true)
    const nan: Game = { ...game, gradientX: (x, y) => [x[0]! < 2.9 ? Number.NaN : game.gradientX(x, y)[0]!] }
    const lost = saddlePoint(nan, { x: [3], y: [-2] }, { method, iterations: 50 })
    expect(lost.status.kind).not.toBe('converged')
    expect(Number.isFinite(lost.x[0])).toBe(true)
    const huge = saddlePoint(game, { x: [1e300], y: [-1e300] }, { method, iterations: 50 })
    expect(Number.isFinite(huge.x[0])).toBe(true)
  })
  it('names what is wrong', () => {
    expect(() => saddlePoint(game, { x: [Number.NaN], y: [0] })).toThrow('start.x[0]: NaN is not a finite number')
    expect(() => saddlePoint(game, { x: [0], y: [0] }, { step: 0 })).toThrow('step: 0 is not above 0')
    expect(() => saddlePoint({ gradientX: () => [0] }, { x: [0], y: [0] })).toThrow('gradientY: it is missing')
    const { status } = saddlePoint({ ...game, gradientX: () => [1, 2] }, { x: [0], y: [0] })
    expect(status).toEqual({ kind: 'failed', reason: 'gradientX: 2 numbers were given for 1 variables' })
  })
})
