import { describe, expect, it } from 'vitest'
import { type LeastSquaresOptions, leastSquares, leastSquaresMethods } from '../src/index.ts'
import { dataSets } from './support/nist.ts'
import { residualProblems } from './support/residual-problems.ts'

const all = process.env.FALLLINE_TEST_ALL === '1'
const methods = Object.keys(leastSquaresMethods) as (keyof typeof leastSquaresMethods)[]
const each = (value: number) => ({ gradient: value, value, step: value })
/** Hundreds of iterations from their first starts. */
const long = ['Bennett5', 'ENSO', 'MGH17']

describe('the data sets of NIST', () => {
  it.each(dataSets)('$name has the certified sum of squares', ({ name, residuals, certified, sum }) => {
    const squares = residuals(Float64Array.from(certified)).reduce((total, f) => total + f * f, 0)
    // Eleven digits of the parameters leave nothing of what is 1e-25.
    if (name === 'Lanczos1') expect(squares).toBeLessThan(1e-20)
    else expect(Math.abs(squares / sum - 1)).toBeLessThan(1e-10)
  })

  it('are all there', () => {
    expect(dataSets.length).toBe(27)
  })

  const cases = methods.flatMap((method) =>
    dataSets.flatMap(({ name, starts, ...rest }) =>
      starts.map((start, i) => ({ method, name, place: i + 1, start, ...rest })),
    ),
  )
  it.each(cases.filter(({ name, place }) => all || place === 2 || !long.includes(name)))(
    '$method reaches six digits of $name from start $place',
    ({ method, start, residuals, certified }) => {
      const { point, status } = leastSquares(residuals, start, {
        method,
        jacobian: 'three-point',
        tolerances: each(1e-14),
      })
      expect(status.kind).toBe('converged')
      certified.forEach((right, j) => {
        expect(Math.abs(point[j]! / right - 1)).toBeLessThan(1e-6)
      })
    },
  )
})

describe('the problems of Moré, Garbow and Hillstrom', () => {
  it.each(residualProblems.filter(({ start }) => all || start.length < 100))(
    '$name needs at most 1.5 times the evaluations of MINPACK',
    ({ residuals, start, least, calls }) => {
      const { value, evaluations, status } = leastSquares(residuals, start, { method: 'levenbergMarquardt' })
      expect(status.kind).toBe('converged')
      expect(2 * value).toBeLessThanOrEqual(least * (1 + 1e-5) + 1e-15)
      expect(evaluations.values - start.length * evaluations.gradients).toBeLessThanOrEqual(1.5 * calls)
    },
  )
})

describe('bounds', () => {
  // The straight line through these goes below zero at the left.
  const line = ([a, b]: Float64Array) => [0, 1, 2, 3].map((x) => a! + b! * x - [-1, 0, 3, 4][x]!)

  it('hold back what would leave them', () => {
    const { point, status, residuals } = leastSquares(line, [5, 5], {
      bounds: [
        [0, null],
        [null, null],
      ],
    })
    expect(status.kind).toBe('converged')
    // With a = 0 the slope is sum(x y) / sum(x²) = 18 / 14.
    expect(point[0]).toBeGreaterThanOrEqual(0)
    expect(point[0]).toBeLessThan(1e-6)
    expect(point[1]).toBeCloseTo(18 / 14, 6)
    expect(residuals[3]).toBeCloseTo((3 * 18) / 14 - 4, 5)
  })

  it('are never left by a point that is asked', () => {
    const asked: number[] = []
    const bowl = ([x, y]: Float64Array) => {
      asked.push(x!, y!)
      return [10 * (y! - x! ** 2), 1 - x!]
    }
    for (const jacobian of ['two-point', 'three-point'] as const) {
      const { point, value } = leastSquares(bowl, [-1, 2], {
        jacobian,
        bounds: [
          [-2, 0.5],
          [-1, 2],
        ],
      })
      // At x = 1/2 the best y is 1/4.
      expect([...point]).toEqual([expect.closeTo(0.5, 5), expect.closeTo(0.25, 5)])
      expect(value).toBeCloseTo(0.125, 5)
    }
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(-2)
    expect(Math.max(...asked.filter((_, i) => i % 2 === 0))).toBeLessThanOrEqual(0.5)
  })

  it('that coincide keep a variable where it is', () => {
    const { point, status, evaluations } = leastSquares(line, [5, 5], {
      bounds: [
        [1, 1],
        [null, null],
      ],
      jacobian: (x) => [0, 1, 2, 3].map((place) => [x.length - 1, place]),
    })
    expect(status.kind).toBe('converged')
    expect(point[0]).toBe(1)
    expect(point[1]).toBeCloseTo(12 / 14, 8)
    expect(evaluations.values).toBeLessThan(5)
  })

  it('find the same minimum as without where it lies within', () => {
    for (const { residuals, starts, certified } of dataSets.filter(({ name }) => ['Rat43', 'Thurber'].includes(name))) {
      const bounds = certified.map((b) => [b - 2 * Math.abs(b), b + 3 * Math.abs(b)] as const)
      const { point } = leastSquares(residuals, starts[1]!, {
        bounds,
        jacobian: 'three-point',
        tolerances: each(1e-14),
      })
      certified.forEach((b, j) => {
        expect(Math.abs(point[j]! / b - 1)).toBeLessThan(5e-6)
      })
    }
  })
})

describe('losses', () => {
  const data = Array.from({ length: 40 }, (_, i) => [i / 10, 2 * Math.exp(-i / 20) + (i % 10 === 3 ? 3 : 0)] as const)
  const decay = ([a, b]: Float64Array) => data.map(([x, y]) => a! * Math.exp(-b! * x) - y)
  const methodsAndLosses = methods.flatMap((method) =>
    (['softL1', 'huber', 'cauchy'] as const).map((loss) => ({ method, loss })),
  )

  it.each(methodsAndLosses)('of $loss let outliers hardly count with $method', ({ method, loss }) => {
    const error = ({ point: [a, b] }: { point: Float64Array }) => Math.hypot(a! - 2, b! - 0.5)
    const square = error(leastSquares(decay, [1, 1], { method }))
    const robust = leastSquares(decay, [1, 1], { method, loss, lossScale: 0.05 })
    expect(robust.status.kind).toBe('converged')
    expect(square).toBeGreaterThan(0.1)
    expect(error(robust)).toBeLessThan(0.02)
  })

  it.each([
    ['softL1', (f: number) => 2 * (Math.sqrt(1 + f * f) - 1)],
    ['huber', (f: number) => (Math.abs(f) <= 1 ? f * f : 2 * Math.abs(f) - 1)],
    ['cauchy', (f: number) => Math.log1p(f * f)],
  ] as const)('of %s are scaled as in SciPy', (loss, rho) => {
    const residuals = () => [0.3, -0.8, 4]
    const { value } = leastSquares(residuals, [], { loss, lossScale: 2 })
    expect(value).toBeCloseTo(2 * [0.15, 0.4, 2].reduce((sum, f) => sum + rho(f), 0), 12)
  })

  it.each(methods)('have a gradient that is zero where %s ends', (method) => {
    const options = { method, loss: 'cauchy', lossScale: 0.5, tolerances: each(1e-13) } as const
    const { point } = leastSquares(decay, [1, 1], options)
    const value = (a: number, b: number) => leastSquares(() => decay(Float64Array.of(a, b)), [], options).value
    const h = 1e-4
    const [a, b] = point as unknown as [number, number]
    expect(Math.abs(value(a + h, b) - value(a - h, b)) / (2 * h)).toBeLessThan(1e-6)
    expect(Math.abs(value(a, b + h) - value(a, b - h)) / (2 * h)).toBeLessThan(1e-6)
  })
})

describe.each(methods)('%s', (method) => {
  const fit = (residuals: (x: Float64Array) => number[], start: number[], options: LeastSquaresOptions = {}) =>
    leastSquares(residuals, start, { method, ...options })

  it('ends at once without variables, without residuals, at the optimum and where nothing changes', () => {
    expect(fit(() => [3], [])).toMatchObject({ value: 4.5, iterations: 0, status: { kind: 'converged' } })
    expect(fit(() => [], [1])).toMatchObject({ value: 0, iterations: 0, status: { kind: 'converged' } })
    expect(fit(([x]) => [x! - 1], [1])).toMatchObject({ value: 0, iterations: 0, status: { kind: 'converged' } })
    expect(fit(() => [1, 2], [1, 1])).toMatchObject({ value: 2.5, iterations: 0, status: { kind: 'converged' } })
  })

  it('takes fewer residuals than variables', () => {
    const { value, status } = fit(([x, y, z]) => [x! + y! + z! - 6, x! * y! - 2], [1, 1, 1])
    expect(status.kind).toBe('converged')
    expect(value).toBeLessThan(1e-15)
  })

  it('comes back from where residuals are not a number', () => {
    // A Gauss-Newton step from 10 leads below zero.
    const { point, status } = fit(([x]) => [Math.log(x!)], [10])
    expect(status.kind).toBe('converged')
    expect(point[0]).toBeCloseTo(1, 8)
  })

  it('gives the best point where residuals throw', () => {
    let asked = 0
    const result = fit(
      ([x, y]) => {
        if (++asked === 8) throw new Error('no more')
        return [10 * (y! - x! ** 2), 1 - x!]
      },
      [-1.2, 1],
    )
    expect(result.status).toEqual({ kind: 'failed', reason: 'no more' })
    const [x, y] = result.point as unknown as [number, number]
    expect(result.value).toBe(((10 * (y - x ** 2)) ** 2 + (1 - x) ** 2) / 2)
    expect(result.value).toBeLessThan(12.1)
  })

  it('says why it cannot begin', () => {
    expect(fit(([x]) => [x! * Number.NaN], [1]).status).toMatchObject({ kind: 'failed' })
    expect(fit(([x]) => [x! * 1e200], [1]).status).toMatchObject({ kind: 'failed', reason: /not finite/ })
  })

  it('does not mind the units of variables', () => {
    const units = [1e150, 1e-150]
    const { point } = fit(
      ([x, y]) => [10 * (y! / units[1]! - (x! / units[0]!) ** 2), 1 - x! / units[0]!],
      [-1.2e150, 1e-150],
    )
    expect(point[0]! / units[0]!).toBeCloseTo(1, 6)
  })

  it('ends where residuals jump', () => {
    const { status, value } = fit(([x]) => [Math.floor(x!) + x! - 2.5], [7.3])
    expect(['converged', 'limit']).toContain(status.kind)
    expect(value).toBeLessThan(0.5)
  })

  it('changes neither the start nor lets itself be changed', () => {
    const start = Float64Array.of(-1.2, 1)
    const { value } = leastSquares(
      (x) => {
        const residuals = [10 * (x[1]! - x[0]! ** 2), 1 - x[0]!]
        x.fill(7)
        return residuals
      },
      start,
      { method },
    )
    expect([...start]).toEqual([-1.2, 1])
    expect(value).toBeLessThan(1e-12)
  })

  it('counts residuals and Jacobians', () => {
    let [asked, jacobians] = [0, 0]
    const { evaluations } = fit(
      ([x, y]) => {
        asked++
        return [10 * (y! - x! ** 2), 1 - x!]
      },
      [-1.2, 1],
      {
        jacobian([x]) {
          jacobians++
          return [
            [-20 * x!, 10],
            [-1, 0],
          ]
        },
      },
    )
    expect(evaluations).toMatchObject({ values: asked, gradients: jacobians })
  })

  it('gives the Jacobian and the residuals of its point', () => {
    const { point, residuals, jacobian } = fit(([x]) => [x! ** 2 - 2, x! - 1], [3])
    const [x] = point as unknown as [number]
    expect([...residuals]).toEqual([x ** 2 - 2, x - 1])
    expect(jacobian.map((row) => row[0])).toEqual([expect.closeTo(2 * x, 5), expect.closeTo(1, 6)])
  })
})

it('names what does not fit', () => {
  const line = ([x]: Float64Array) => [x!]
  expect(() => leastSquares(line, [1], { method: 'levenbergMarquardt', bounds: [[0, 1]] })).toThrow(/takes none/)
  expect(() => leastSquares(line, [1], { bounds: [[2, 1]] })).toThrow(/bounds\[0\]: the lower bound 2/)
  expect(() => leastSquares(line, [1], { bounds: [] })).toThrow(/0 pairs were given for 1 variables/)
  expect(() => leastSquares(line, [Number.NaN])).toThrow(/start\[0\]/)
  expect(() => leastSquares(line, [1], { loss: 'square' as 'huber' })).toThrow(/'square' is not one of linear, softL1/)
  expect(() => leastSquares(line, [1], { lossScale: 0 })).toThrow(/lossScale: 0/)
  expect(() => leastSquares(line, [1], { scale: [0] })).toThrow(/scale\[0\]: 0/)
  expect(() => leastSquares(line, [1], { method: 'lm' as 'levenbergMarquardt' })).toThrow(/'lm' is not one of/)
  expect(leastSquares(line, [1], { jacobian: () => [[1], [2]] }).status).toMatchObject({
    reason: 'jacobian: 2 rows were given for 1 residuals',
  })
})
