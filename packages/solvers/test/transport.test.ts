import { describe, expect, it } from 'vitest'
import { type TransporterName, type TransportState, transport, transporters } from '../src/index.ts'
import { numpyRandom } from './support/numpy.ts'

const all = process.env.FALLLINE_TEST_ALL === '1'

function randomCosts(n: number): number[][] {
  const random = numpyRandom()
  return Array.from({ length: n }, () => Array.from({ length: n }, random))
}
const uniform = (n: number) => new Float64Array(n).fill(1 / n)

describe('entropic transport', () => {
  it('draws the costs that the figures were measured with', () => {
    const costs = randomCosts(2)
    expect(costs[0]![0]).toBeCloseTo(0.63696169, 8)
    expect(costs[0]![1]).toBeCloseTo(0.26978671, 8)
    expect(costs[1]![0]).toBeCloseTo(0.04097352, 8)
  })

  // n, η, Sinkhorn iterations, Newton steps after 20 of Sinkhorn, as measured in Python; Infinity: more than 20,000.
  const figures: readonly (readonly [n: number, eta: number, scalings: number, steps: number])[] = [
    [100, 50, 37, 1],
    [100, 200, 1497, 5],
    [100, 500, Infinity, 12],
    [100, 1000, Infinity, 19],
    [200, 50, 22, 1],
    [200, 200, 113, 3],
    [200, 500, 2986, 6],
    [200, 1000, Infinity, 12],
  ]
  for (const [n, eta, scalings, steps] of figures) {
    it.runIf(all || (n === 100 && [50, 200, 1000].includes(eta)))(
      `takes the steps of Newton that are known, n = ${n}, η = ${eta}`,
      () => {
        const stages: TransportState[] = []
        const { status, residual } = transport(randomCosts(n), uniform(n), uniform(n), {
          regularization: 1 / eta,
          tolerance: 1e-10,
          callback: (state) => stages.push(state),
        })
        expect(status).toEqual({ kind: 'converged', test: 'residual' })
        expect(residual).toBeLessThan(1e-10)
        const taken = stages.filter(({ stage }) => stage === 'newton').length
        expect(taken).toBe(steps)
        expect(stages.length - taken).toBe(20)
      },
    )
    it.runIf(scalings < 100 || (all && scalings < 3000))(`needs ${scalings} scalings, n = ${n}, η = ${eta}`, () => {
      const { iterations } = transport(randomCosts(n), uniform(n), uniform(n), {
        method: 'sinkhorn',
        regularization: 1 / eta,
        tolerance: 1e-10,
      })
      expect(Math.abs(iterations + 1 - scalings)).toBeLessThanOrEqual(1)
    })
  }

  it('needs few steps with a sparse Hessian too', () => {
    const n = 40
    const stages: string[] = []
    const { status } = transport(randomCosts(n), uniform(n), uniform(n), {
      regularization: 1 / 400,
      density: 4 / n,
      tolerance: 1e-10,
      callback: ({ stage }) => stages.push(stage),
    })
    expect(status.kind).toBe('converged')
    const { iterations } = transport(randomCosts(n), uniform(n), uniform(n), {
      method: 'sinkhorn',
      regularization: 1 / 400,
      tolerance: 1e-10,
      iterations: 1000,
    })
    expect(stages.length).toBeLessThan(100)
    expect(iterations).toBe(1000)
  })
})

describe('sum-of-norms transport', () => {
  it('recovers classes in blocks of equal rows, where plain transport matches points', () => {
    // Two clusters on each side; inside a cluster costs differ, between clusters they are larger.
    const [from, to] = [
      [0, 0.1, 0.2, 3, 3.1, 3.2],
      [0.05, 0.15, 0.25, 3.05, 3.15, 3.25],
    ]
    const costs = from.map((x) => to.map((y) => (x - y) ** 2))
    const classes = ['a', 'a', 'a', 'b', 'b', 'b']
    const options = { sourceClasses: classes, targetClasses: classes, tolerance: 1e-7, iterations: 20_000 } as const
    const solve = (weight: number) =>
      transport(costs, uniform(6), uniform(6), { ...options, method: 'sumOfNorms', weight })
    const together = solve(0.1)
    expect(together.status.kind).toBe('converged')
    for (const [i, row] of together.plan.entries()) {
      for (const [j, mass] of row.entries()) expect(mass).toBeCloseTo(classes[i] === classes[j] ? 1 / 18 : 0, 5)
    }
    // Without a weight it is a plain linear program, whose solution is monotone: the diagonal.
    const apart = solve(0)
    expect(apart.cost).toBeCloseTo(0.0025, 5)
    for (let i = 0; i < 6; i++) expect(apart.plan[i]![i]).toBeCloseTo(1 / 6, 4)
  })
})

describe('every method of transport', () => {
  const names = Object.keys(transporters) as TransporterName[]
  it.each(names)('%s: sums are right, nothing given is changed, one by one and lines without mass', (method) => {
    const costs = [
      [0, 1, 2],
      [1, 0, 1],
      [2, 1, 0],
    ]
    const [source, target] = [
      [0.5, 0, 0.5],
      [0.25, 0.5, 0.25],
    ]
    const before = JSON.stringify([costs, source, target])
    const { plan, status } = transport(costs, source, target, { method, regularization: 0.1, tolerance: 1e-8 })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    source.forEach((mass, i) => {
      expect(plan[i]!.reduce((sum, each) => sum + each, 0)).toBeCloseTo(mass, 7)
    })
    target.forEach((mass, j) => {
      expect(plan.reduce((sum, row) => sum + row[j]!, 0)).toBeCloseTo(mass, 7)
    })
    expect(JSON.stringify([costs, source, target])).toBe(before)
    expect(transport([[3]], [2], [2], { method }).cost).toBeCloseTo(6, 6)
    expect(transport([], [], [], { method })).toMatchObject({ cost: 0, status: { kind: 'converged' } })
  })

  it.each(names)('%s: proves that masses which differ cannot be moved', (method) => {
    const { status } = transport([[0, 1]], [1], [1, 1], { method })
    if (status.kind !== 'infeasible') throw new Error(status.kind)
    const [row, ...columns] = status.certificate
    for (const column of columns) expect(row! + column).toBe(0)
    expect(row! * 1 + columns[0]! * 1 + columns[1]! * 1).not.toBe(0)
  })

  it.each(names)('%s: forbids a pair at an infinite price, and takes prices of 1e300', (method) => {
    const { plan } = transport(
      [
        [0, 1],
        [1, Infinity],
      ],
      [0.5, 0.5],
      [0.5, 0.5],
      { method, tolerance: 1e-6 },
    )
    expect(plan[1]![1]).toBe(0)
    expect(plan[0]![1]).toBeCloseTo(0.5, 4)
    const huge = transport(
      [
        [0, 1e300],
        [1e300, 0],
      ],
      [0.5, 0.5],
      [0.5, 0.5],
      { method, tolerance: 1e-6 },
    )
    expect(huge.status.kind).toBe('converged')
    expect(huge.plan[0]![0]).toBeCloseTo(0.5, 5)
  })

  it('names what is wrong', () => {
    expect(() => transport([[Number.NaN]], [1], [1])).toThrow('costs[0][0]: NaN')
    expect(() => transport([[0]], [-1], [1])).toThrow('source[0]: -1')
    expect(() => transport([[0]], [1, 1], [1])).toThrow('costs: 1 rows were given for 2 sources')
    expect(() => transport([[0]], [1], [1], { regularization: 0 })).toThrow('regularization: 0 is not above 0')
  })
})
