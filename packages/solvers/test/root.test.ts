import { describe, expect, it } from 'vitest'
import { fixedPoint, fixedPointMethods, type RootName, root, rootMethods } from '../src/index.ts'

const { sin, cos, exp, sqrt, abs } = Math
const several = (['newton', 'broyden', 'anderson'] as const satisfies readonly RootName[]).map((method) => method)

/** Errors after each evaluation, of a known answer. */
function errors(method: RootName, f: (x: number) => number, start: number, answer: number) {
  const seen: number[] = []
  root(f, start, {
    method,
    derivative: (x) => exp(x),
    tolerances: { residual: 1e-15 },
    callback: ({ point }) => void seen.push(abs(point[0]! - answer)),
  })
  return seen.filter((error) => error > 1e-14)
}

describe('one variable', () => {
  it.each([
    ['brent', { bracket: [0, 2] as const }],
    ['secant', {}],
    ['newton', {}],
  ] as const)('%s finds where the cosine is the identity', (method, options) => {
    const { point, status, evaluations } = root((x) => cos(x) - x, 1, { method, ...options })
    expect(status.kind).toBe('converged')
    expect(point[0]).toBeCloseTo(0.7390851332151607, 9)
    expect(evaluations.values).toBeLessThanOrEqual(10)
  })

  it('brent stays within its bracket, where others leave it, and ends at rounding', () => {
    const asked: number[] = []
    const f = (x: number) => {
      asked.push(x)
      return Math.atan(x - 3)
    }
    const { point, status } = root(f, 0, { bracket: [-100, 1000] })
    expect(status.kind).toBe('converged')
    expect(point[0]).toBeCloseTo(3, 14)
    expect(Math.min(...asked)).toBe(-100)
    expect(Math.max(...asked)).toBe(1000)
  })

  it('brent needs little more than halving where the function is of no help', () => {
    // Flat with a step: as bad as it can be.
    const jump = (x: number) => (x < Math.PI ? -1 : 1e9)
    const { point, evaluations, status, residual } = root(jump, 0, { bracket: [0, 10] })
    expect(status).toEqual({ kind: 'converged', test: 'step' })
    expect(point[0]).toBeCloseTo(Math.PI, 13)
    expect(residual).toBe(1)
    const halvings = Math.log2(10 / (4 * Number.EPSILON * Math.PI))
    expect(evaluations.values).toBeLessThan(3 * halvings)
  })

  it('brent finds zeros of any order', () => {
    for (const order of [1, 3, 9, 19]) {
      const { point, evaluations } = root((x) => x ** order, 0, { bracket: [-1, 4] })
      expect(abs(point[0]!)).toBeLessThan(1e-15)
      expect(evaluations.values).toBeLessThan(200)
    }
  })

  it('Newton doubles the digits, and the secant has the order of the golden ratio', () => {
    const f = (x: number) => exp(x) - 2
    const order = (seen: number[]) => {
      const [a, b, c] = seen.slice(-3).map(Math.log) as [number, number, number]
      return (c - b) / (b - a)
    }
    expect(order(errors('newton', f, 1.2, Math.LN2))).toBeCloseTo(2, 0)
    expect(order(errors('secant', f, 1.2, Math.LN2))).toBeGreaterThan(1.4)
    expect(order(errors('secant', f, 1.2, Math.LN2))).toBeLessThan(1.9)
  })

  it('says why there is none', () => {
    expect(root((x) => x * x + 1, 1, { bracket: [-1, 2] }).status).toMatchObject({
      kind: 'failed',
      reason: /must differ in sign/,
    })
    expect(root((x) => x * x + 1, 1, { method: 'newton' }).status).toMatchObject({ kind: 'failed' })
    expect(root(() => 3, 1).status).toMatchObject({ kind: 'failed', reason: /no zero/ })
    expect(root(() => Number.NaN, 1).status).toMatchObject({ kind: 'failed', reason: /not finite/ })
  })

  it('comes back from where it is not a number', () => {
    for (const method of ['newton', 'secant'] as const) {
      const { point, status } = root((x) => Math.log(x), 4, { method })
      expect(status.kind).toBe('converged')
      expect(point[0]).toBeCloseTo(1, 9)
    }
  })

  it('names what does not fit', () => {
    expect(() => root(sin, 1, { method: 'brent' })).toThrow(/bracket: brent needs/)
    expect(() => root(sin, 1, { bracket: [2, 1] })).toThrow(/bracket: \[2, 1\]/)
    expect(() => root(sin, Number.NaN)).toThrow(/start\[0\]/)
    expect(() => root((x) => x, [1, 2], { method: 'secant' })).toThrow(/for one variable, and there are 2/)
    expect(() => root(sin, 1, { method: 'bisect' as 'brent' })).toThrow(/'bisect' is not one of brent, secant/)
    expect(() => fixedPoint((x) => x, [1], { memory: -1 })).toThrow(/memory: -1/)
    expect(root((x) => [x[0]!], [1, 2]).status).toMatchObject({
      reason: 'equations: 1 numbers were given for 2 variables',
    })
  })
})

/** H-equation of Chandrasekhar, discretized by midpoints: a classic of nonlinear equations. */
function chandrasekhar(n: number, c: number) {
  return (x: Float64Array) =>
    x.map((h, i) => {
      let sum = 0
      for (let j = 0; j < n; j++) sum += ((i + 0.5) * x[j]!) / (i + j + 1)
      return h - 1 / (1 - (c / (2 * n)) * sum)
    })
}

describe('several variables', () => {
  it.each(several)('%s solves the H-equation', (method) => {
    const n = 20
    // In its form as a map the residual is of the other sign for mixing.
    const { status, residual, residuals, point } = root(chandrasekhar(n, 0.9), new Float64Array(n).fill(1), {
      method,
      mixing: -1,
    })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(residual).toBeLessThan(1e-10)
    expect(residuals.length).toBe(n)
    // The mean of H is 2 (1 - √(1 - c)) / c, as the integral of the continuous equation; midpoints keep it.
    const mean = point.reduce((sum, element) => sum + element, 0) / n
    expect(mean).toBeCloseTo((2 / 0.9) * (1 - sqrt(0.1)), 8)
  })

  it('newton and broyden find the zero of Powell’s badly scaled function, and of Rosenbrock’s', () => {
    for (const method of ['newton', 'broyden'] as const) {
      const rosenbrock = root(([x, y]: Float64Array) => [10 * (y! - x! ** 2), 1 - x!], [-1.2, 1], { method })
      expect(rosenbrock.status.kind).toBe('converged')
      expect([...rosenbrock.point]).toEqual([expect.closeTo(1, 8), expect.closeTo(1, 8)])
      const powell = root(([x, y]: Float64Array) => [1e4 * x! * y! - 1, exp(-x!) + exp(-y!) - 1.0001], [0, 1], {
        method,
      })
      expect(powell.status.kind).toBe('converged')
      expect(powell.point[1]).toBeCloseTo(9.106146, 4)
    }
  })

  it('broyden takes the Jacobian once where Newton takes it each time', () => {
    const start = new Float64Array(20).fill(1)
    const [slow, fast] = (['newton', 'broyden'] as const).map((method) =>
      root(chandrasekhar(20, 0.9), start, { method }),
    )
    expect(fast!.evaluations.gradients).toBe(1)
    expect(slow!.evaluations.gradients).toBe(slow!.iterations)
    expect(fast!.evaluations.values).toBeLessThan(slow!.evaluations.values / 2)
  })

  it('anderson ends on linear equations after as many steps as there are variables', () => {
    // GMRES ends after n, and mixing is one behind (Walker and Ni 2011).
    const rows = [
      [4, 1, 0, 2],
      [1, -3, 1, 0],
      [0, 2, 5, 1],
      [1, 0, 1, -2],
    ]
    const linear = (x: Float64Array) => rows.map((row, i) => row.reduce((sum, a, j) => sum + a * x[j]!, 0) - i - 1)
    const { iterations, status } = root(linear, [0, 0, 0, 0], {
      method: 'anderson',
      memory: 4,
      mixing: 0.1,
      tolerances: { residual: 1e-9 },
    })
    expect(status.kind).toBe('converged')
    expect(iterations).toBeLessThanOrEqual(6)
    expect(
      root(linear, [0, 0, 0, 0], { method: 'anderson', memory: 0, mixing: 0.1, iterations: 100 }).status.kind,
    ).not.toBe('converged')
  })

  it.each(several)('%s gets by with nothing to do, and with an equation that throws', (method) => {
    expect(root(() => [], [], { method })).toMatchObject({ iterations: 0, status: { kind: 'converged' } })
    expect(root((x) => x, [0, 0], { method })).toMatchObject({ iterations: 0, status: { kind: 'converged' } })
    let asked = 0
    const result = root(
      ([x]: Float64Array) => {
        if (++asked === 4) throw new Error('no more')
        return [exp(x!) - 2]
      },
      [3],
      { method, mixing: -0.01 },
    )
    expect(result.status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(result.residuals[0]).toBe(exp(result.point[0]!) - 2)
    expect(abs(result.residuals[0]!)).toBeLessThan(exp(3) - 2)
  })

  const adversaries: Record<string, readonly [f: (x: Float64Array) => number[], start: number[]]> = {
    'is flat': [() => [1, 1], [0, 0]],
    jumps: [([x, y]) => [Math.sign(x! - 1) * 2 + x! / 10, y! - 1], [5, 5]],
    'is not a number at first': [() => [Number.NaN, 1], [0, 0]],
    'is not a number in a half': [([x, y]) => [sqrt(x!) - 1, Math.log(y!)], [30, 30]],
    'is huge': [([x, y]) => [1e300 * (x! - 1), 1e300 * (y! - 2)], [0, 0]],
    'is huge by units': [([x, y]) => [x! / 1e300 - 1, y! / 1e300 - 2], [1e300, 1e300]],
    'has a zero at infinity': [([x, y]) => [1 / x!, y!], [1, 1]],
    'has a singular Jacobian': [([x, y]) => [x! * x!, (x! + y!) ** 2], [1, 1]],
    'has dependent rows': [([x, y]) => [x! + y! - 1, 2 * x! + 2 * y! - 2], [5, -1]],
  }
  const size = (f: readonly number[]) => Math.hypot(...f.map((element) => (Number.isNaN(element) ? Infinity : element)))

  it.each(Object.keys(adversaries))('all come back with the best point where a function %s', (name) => {
    const [f, start] = adversaries[name]!
    const before = size(f(Float64Array.from(start)))
    for (const method of several) {
      const { point, residuals, status } = root(f, start, { method, iterations: 200 })
      expect(['converged', 'limit', 'failed']).toContain(status.kind)
      expect([...residuals]).toEqual(f(point))
      expect(size([...residuals])).toBeLessThanOrEqual(before)
      if (status.kind === 'converged') expect(Math.max(...residuals.map(abs))).toBeLessThanOrEqual(1e-10)
      if (status.kind === 'failed') expect(status.reason).not.toBe('')
    }
    for (const method of Object.keys(fixedPointMethods) as (keyof typeof fixedPointMethods)[]) {
      const { point, residuals } = fixedPoint(f, start, { method, iterations: 200 })
      expect([...residuals]).toEqual(f(point).map((element, i) => element - point[i]!))
    }
  })

  it('say where numbers are not finite, and when only their squares are not', () => {
    const status = (f: () => number[]) => root(f, [0, 0]).status
    expect(status(() => [1, Number.NaN])).toEqual({ kind: 'failed', reason: 'residuals: NaN at place 1 is not finite' })
    expect(status(() => [1e300, 1])).toMatchObject({ kind: 'failed', reason: expect.stringContaining('a larger unit') })
  })

  it('every method is in the registry under its name', () => {
    for (const methods of [rootMethods, fixedPointMethods]) {
      for (const [name, method] of Object.entries(methods)) expect(method.name).toBe(name)
    }
  })
})

describe('fixed points', () => {
  /** Turns by an angle: brings no two points nearer. */
  const turn = ([x, y]: Float64Array) => [cos(2) * (x! - 1) - sin(2) * y! + 1, sin(2) * (x! - 1) + cos(2) * y!]

  it('the map alone converges as fast as it contracts', () => {
    const { iterations, status, point } = fixedPoint(([x]) => [x! / 2 + 1], [0], { method: 'plain' })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(point[0]).toBeCloseTo(2, 9)
    // The residual is 2^-k.
    expect(iterations).toBe(Math.ceil(10 * Math.log2(10)))
  })

  it('Halpern keeps its bound where the map alone goes round in circles', () => {
    const circles = fixedPoint(turn, [4, 0], { method: 'plain', iterations: 300 })
    expect(circles.status).toEqual({ kind: 'limit', of: 'iterations' })
    const distance = 3
    const seen: number[] = []
    fixedPoint(turn, [4, 0], {
      method: 'halpern',
      iterations: 300,
      callback: ({ value }, k) => void seen.push((sqrt(2 * value) * (k + 1)) / (2 * distance)),
    })
    expect(seen.length).toBe(301)
    expect(Math.max(...seen)).toBeLessThanOrEqual(1 + 1e-9)
  })

  it('Halpern’s bound is attained', () => {
    // By the map -x at the beginning: 2 |x_0| after no step.
    const { residual } = fixedPoint(([x]) => [-x!], [3], { method: 'halpern', iterations: 0 })
    expect(residual).toBe(6)
  })

  it('Anderson needs a fraction of the iterations', () => {
    const map = (x: Float64Array) => x.map((h, i) => h - chandrasekhar(20, 0.99)(x)[i]!)
    const start = new Float64Array(20).fill(1)
    const [plain, anderson] = (['plain', 'anderson'] as const).map((method) => fixedPoint(map, start, { method }))
    for (const { status } of [plain!, anderson!]) expect(status.kind).toBe('converged')
    expect(anderson!.iterations).toBeLessThan(plain!.iterations / 4)
    expect(anderson!.point.every((element, i) => abs(element - plain!.point[i]!) < 1e-6)).toBe(true)
  })

  it('Anderson finds the middle of a turn at once', () => {
    const { point, iterations } = fixedPoint(turn, [4, 0])
    expect([...point]).toEqual([expect.closeTo(1, 9), expect.closeTo(0, 9)])
    expect(iterations).toBeLessThanOrEqual(4)
  })

  it('comes back from where the map is not a number', () => {
    const { point, status } = fixedPoint(([x]) => [sqrt(x!) - 5 * (x! - 1)], [1.2])
    expect(status.kind).toBe('converged')
    expect(point[0]).toBeCloseTo(1, 8)
  })

  it('does not let itself be changed by a map that writes over its argument', () => {
    const { point, status } = fixedPoint(
      (x) => {
        x[0] = x[0]! / 2 + 1
        return x
      },
      [0],
    )
    expect(status.kind).toBe('converged')
    expect(point[0]).toBeCloseTo(2, 9)
  })
})
