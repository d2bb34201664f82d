import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type Bounds, type Minimizer, type MinimizerName, minimize, minimizers } from '../src/index.ts'
import { lineMinimum } from '../src/line-minimum.ts'
import { rosenbrock } from './support/problems.ts'

const names = Object.keys(minimizers) as MinimizerName[]
const takes = (name: MinimizerName): Minimizer['takes'] => minimizers[name].takes
const same = (n: number, lower: number, upper: number): Bounds => Array.from({ length: n }, () => [lower, upper])
const sum = (x: Float64Array, term: (element: number) => number) =>
  x.reduce((total, element) => total + term(element), 0)

/** Functions of many minima with the value of the lowest. */
const many = {
  rastrigin: {
    bounds: same(2, -5.12, 4.5),
    value: (x: Float64Array) => sum(x, (element) => element ** 2 - 10 * Math.cos(2 * Math.PI * element) + 10),
    least: 0,
  },
  schwefel: {
    bounds: same(2, -500, 500),
    value: (x: Float64Array) =>
      2 * 418.9828872724339 - sum(x, (element) => element * Math.sin(Math.sqrt(Math.abs(element)))),
    least: 0,
  },
  branin: {
    bounds: [
      [-5, 10],
      [0, 15],
    ] as Bounds,
    value: (x: Float64Array) => {
      const [a, b] = [x[0]!, x[1]!]
      const parabola = b - (5.1 * a * a) / (4 * Math.PI ** 2) + (5 * a) / Math.PI - 6
      return parabola ** 2 + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(a) + 10
    },
    least: 0.39788735772973816,
  },
  styblinskiTang: {
    bounds: same(2, -5, 5),
    value: (x: Float64Array) => sum(x, (element) => (element ** 4 - 16 * element ** 2 + 5 * element) / 2),
    least: -39.16616570377142 * 2,
  },
}

describe.each(names.filter((name) => takes(name).global && name !== 'basin-hopping'))('%s', (method) => {
  it.each(Object.entries(many))('finds the lowest of many minima: %s', (_, { bounds, value: objective, least }) => {
    const start = bounds.map(([lower, upper]) => lower! + 0.3 * (upper! - lower!))
    // One run of differential evolution in three may end beside it.
    const seeds = method === 'differential-evolution' ? [0, 1, 2] : [0]
    const values = seeds.map((seed) => minimize(objective, start, { method, bounds, seed }).value)
    expect(Math.min(...values) - least).toBeLessThan(1e-4)
    expect(Math.min(...values) - least).toBeGreaterThan(-1e-9)
  })
})

describe('basin hopping', () => {
  it('finds the lowest minimum of the example of SciPy', () => {
    const objective = (x: Float64Array) => Math.cos(14.5 * x[0]! - 0.3) + (x[1]! + 0.2) * x[1]! + (x[0]! + 0.2) * x[0]!
    const { point, value, status } = minimize(objective, [1, 1], { method: 'basin-hopping' })
    expect(value).toBeCloseTo(-1.0108766, 6)
    expect(point[0]).toBeCloseTo(-0.19506755, 4)
    expect(point[1]).toBeCloseTo(-0.1, 4)
    expect(status).toEqual({ kind: 'converged', test: 'hops' })
  })
})

/** Problems of Hock and Schittkowski (1981) that have bounds only. */
const boxed = [
  {
    number: 1,
    start: [-2, 1],
    bounds: [
      [null, null],
      [-1.5, null],
    ],
    least: 0,
    value: rosenbrock.value,
  },
  {
    number: 4,
    start: [1.125, 0.125],
    bounds: [
      [1, null],
      [0, null],
    ],
    least: 8 / 3,
    value: (x: Float64Array) => (x[0]! + 1) ** 3 / 3 + x[1]!,
  },
  {
    number: 5,
    start: [0, 0],
    bounds: [
      [-1.5, 4],
      [-3, 3],
    ],
    least: -Math.sqrt(3) / 2 - Math.PI / 3,
    value: (x: Float64Array) => Math.sin(x[0]! + x[1]!) + (x[0]! - x[1]!) ** 2 - 1.5 * x[0]! + 2.5 * x[1]! + 1,
  },
  {
    number: 45,
    start: [2, 2, 2, 2, 2],
    bounds: [1, 2, 3, 4, 5].map((upper) => [0, upper]),
    least: 1,
    value: (x: Float64Array) => 2 - x.reduce((product, element) => product * element, 1) / 120,
  },
] as unknown as { number: number; start: number[]; bounds: Bounds; least: number; value: (x: Float64Array) => number }[]

const local = names.filter((name) => takes(name).bounds && !takes(name).global)

describe.each(local)('%s within the bounds of Hock and Schittkowski', (method) => {
  it.each(boxed)('number $number', ({ number, start, bounds, least, value: objective }) => {
    const { value, point } = minimize(objective, start, { method, bounds })
    // Linear models are slow in the valley of Rosenbrock.
    expect(value - least).toBeLessThan(method === 'cobyla' && number === 1 ? 0.1 : 1e-4)
    bounds.forEach(([lower, upper], i) => {
      expect(point[i]).toBeGreaterThanOrEqual(lower ?? -Infinity)
      expect(point[i]).toBeLessThanOrEqual(upper ?? Infinity)
    })
  })
})

describe('lineMinimum', () => {
  const line = { lower: -Infinity, upper: Infinity, accuracy: 1e-8 }

  it('finds minima on either side, far away and at an end', () => {
    for (const at of [-30, -0.4, 0.3, 1, 700]) {
      const value = (step: number) => Math.cosh((step - at) / 10)
      expect(lineMinimum({ ...line, value, origin: value(0) }).step).toBeCloseTo(at, 4)
    }
    const value = (step: number) => step
    expect(lineMinimum({ ...line, value, origin: 0, lower: -2, upper: 3 })).toEqual({ step: -2, value: -2 })
  })

  it('stays where nothing changes', () => {
    expect(lineMinimum({ ...line, value: () => 4, origin: 4 })).toEqual({ step: 0, value: 4 })
  })
})

describe('Draws', () => {
  it('has the moments of its distributions, and the same numbers for a seed', () => {
    const random = new Draws(3)
    const uniform = Float64Array.from({ length: 20_000 }, () => random.uniform())
    const normal = Float64Array.from({ length: 20_000 }, () => random.normal())
    expect(sum(uniform, (one) => one) / 20_000).toBeCloseTo(0.5, 1.8)
    expect(sum(uniform, (one) => one * one) / 20_000).toBeCloseTo(1 / 3, 1.8)
    expect(sum(normal, (one) => one) / 20_000).toBeCloseTo(0, 1)
    expect(sum(normal, (one) => one * one) / 20_000).toBeCloseTo(1, 1)
    expect(sum(normal, (one) => one ** 4) / 20_000 / 3).toBeCloseTo(1, 0.9)
    expect(new Draws(3).uniform()).toBe(uniform[0])
    expect(new Draws(4).uniform()).not.toBe(uniform[0])
    expect(random.permutation(50).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })
})
