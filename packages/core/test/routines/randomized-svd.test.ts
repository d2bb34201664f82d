import {
  type Backend,
  compile,
  defineOptimizer,
  explain,
  nonNegative,
  randomizedSvd,
  reference,
  seed,
  shaped,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { svdReference } from '../../src/routines/svd.ts'
import {
  diagonal,
  distance,
  identity,
  type Matrix,
  matrixOf,
  rotation,
  times,
  transposed,
} from '../support/matrices.ts'
import { randomNumbers } from '../support/random.ts'

interface Found {
  readonly left: Matrix
  readonly values: number[]
  readonly right: Matrix
}

/** A rule that keeps what is found of its gradient. */
const finder = (rank: number, oversampling: number, powerIterations: number) =>
  defineOptimizer({
    name: 'finder',
    title: 'Finder',
    paper: { title: 'None', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1), seed: seed() },
    state: {
      left: shaped(({ outputs }) => [1, outputs, rank]),
      values: shaped(() => [1, 1, rank]),
      right: shaped(({ inputs }) => [1, rank, inputs]),
    },
    decay: 'decoupled',
    search: { learningRate: { scale: 'linear', minimum: 0, maximum: 1 } },
    rule: ({ g, random, hyper }) => ({
      direction: g.times(0),
      state: randomizedSvd(g, { rank, oversampling, powerIterations, random, seed: hyper.seed }),
    }),
  })

/** What is found of a matrix with each of some seeds. */
async function found(backend: Backend, a: Matrix, rank: number, oversampling: number, iterations: number, seeds = 1) {
  const [rows, columns] = [a.length, a[0]!.length]
  const optimizer = await compile(finder(rank, oversampling, iterations)(), { w: [rows, columns] }, { backend })
  return Array.from({ length: seeds }, (_, index): Found => {
    optimizer.set({ seed: index })
    optimizer.step({ gradients: { w: a.flat() } })
    const { left, values, right } = optimizer.state('w') as Record<string, Float32Array>
    return {
      left: matrixOf(left!, rows, rank),
      values: Array.from(values!),
      right: matrixOf(right!, rank, columns),
    }
  })
}

const product = ({ left, values, right }: Found): Matrix => times(times(left, diagonal(values)), right)
const minus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((value, j) => value - b[i]![j]!))
const singularValues = (a: Matrix): number[] =>
  Array.from(
    svdReference([{ values: Float64Array.from(a.flat()), dimensions: [1, a.length, a[0]!.length] }], [0, 0, 0])[1]!,
  )
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const random = randomNumbers(11)
/** A matrix of given singular values, and of random vectors. */
const made = (rows: number, columns: number, values: readonly number[]): Matrix => {
  const count = Math.min(rows, columns)
  const [u, v] = [rotation(rows, random).slice(0, count), rotation(columns, random).slice(0, count)]
  return times(times(transposed(u), diagonal(values.slice(0, count))), v).map((row) => row.map(Math.fround))
}

const numbered = (count: number, value: (j: number) => number): number[] =>
  Array.from({ length: count }, (_, j) => value(j))
const slow = numbered(30, (j) => 1 / (1 + j))
const cases: readonly (readonly [string, Matrix])[] = [
  ['random', Array.from({ length: 30 }, () => numbered(40, random))],
  ['tall', made(50, 30, slow)],
  ['wide', made(30, 50, slow)],
  ['of rank three', made(36, 30, [3, 2, 1, ...numbered(27, () => 0)])],
  [
    'nearly singular',
    made(
      30,
      34,
      numbered(30, (j) => 2 ** -j),
    ),
  ],
  ['badly scaled', made(30, 30, slow).map((row, i) => row.map((value) => Math.fround(value * 10 ** ((i % 7) - 3))))],
  ['orthogonal', rotation(30, random).map((row) => row.map(Math.fround))],
  ['zero', identity(30).map((row) => row.map(() => 0))],
]
const [rank, oversampling] = [5, 6]

describe.each([
  ['reference', reference(), 1e-13],
  ['wasm', wasm(), 1e-6],
] as const)('randomized singular values, %s', (_, backend, rounding) => {
  it.each(cases)('of a matrix that is %s have orthonormal vectors and no value above its own', async (_, a) => {
    const own = singularValues(a)
    const [most = 0] = own
    for (const each of await found(backend, a, rank, oversampling, 1, 2)) {
      expect(distance(times(transposed(each.left), each.left), identity(rank))).toBeLessThan(5 * rounding)
      expect(distance(times(each.right, transposed(each.right)), identity(rank))).toBeLessThan(5 * rounding)
      const above = each.values.map((value, j) => value - own[j]!)
      expect(Math.max(...above)).toBeLessThanOrEqual(5 * rounding * most)
      expect(each.values).toEqual([...each.values].sort((x, y) => y - x))
      // What was found is X as the left vectors see it.
      const seen = times(transposed(each.left), a)
      expect(distance(seen, times(diagonal(each.values), each.right))).toBeLessThanOrEqual(5 * rounding * most)
    }
  })

  it.each(cases)('of a matrix that is %s leave in the mean no more than is stated', async (_, a) => {
    const own = singularValues(a)
    const [k, p] = [rank, oversampling]
    const next = own[k]!
    const errors = (await found(backend, a, k, p, 0, 16)).map((each) => minus(a, product(each)))
    const beyond = own.slice(k).reduce((sum, value) => sum + value * value, 0)
    const squares = errors.map((error) => error.flat().reduce((sum, value) => sum + value * value, 0))
    const slack = 20 * rounding * own[0]!
    // What is cut off at k is at most as large as what lies beyond k.
    expect(Math.sqrt(mean(squares))).toBeLessThanOrEqual(Math.sqrt((2 + k / (p - 1)) * beyond) + slack)
    const iterated = (await found(backend, a, k, p, 2, 6)).map((each) => singularValues(minus(a, product(each)))[0]!)
    const shorter = Math.min(a.length, a[0]!.length)
    const factor = 1 + Math.sqrt(k / (p - 1)) + ((Math.E * Math.sqrt(k + p)) / p) * Math.sqrt(shorter - k)
    expect(mean(iterated)).toBeLessThanOrEqual((1 + factor ** (1 / 5)) * next + slack)
  })

  it('come nearer to those of the matrix with power iterations', async () => {
    const a = made(40, 30, slow)
    const own = singularValues(a)
    const off = async (iterations: number) =>
      mean((await found(backend, a, 4, 2, iterations, 8)).map(({ values }) => own[3]! - values[3]!))
    const [none, one, four] = [await off(0), await off(1), await off(4)]
    expect(one).toBeLessThan(none / 3)
    expect(four).toBeLessThan(one / 10)
  })

  it('are all of a matrix whose rank the sketch holds, and those of svd where it is as wide as the matrix', async () => {
    // Of whole numbers, which float32 holds exactly.
    const whole = (rows: number, columns: number) =>
      Array.from({ length: rows }, () => numbered(columns, () => Math.round(3 * random())))
    const low = times(whole(40, 5), whole(5, 30))
    const [once] = await found(backend, low, 5, 2, 0)
    expect(distance(product(once!), low)).toBeLessThan(300 * rounding)
    const narrow = made(9, 12, slow)
    const [all] = await found(backend, narrow, 5, 4, 0)
    expect(distance([all!.values], [singularValues(narrow).slice(0, 5)])).toBeLessThan(5 * rounding)
  })
})

describe('randomized singular values', () => {
  it('are the same on both backends: they draw the same sketch', async () => {
    for (const [rows, columns] of [
      [40, 28],
      [28, 40],
    ] as const) {
      const a = made(
        rows,
        columns,
        numbered(28, (j) => 1.5 ** -j),
      )
      const [expected] = await found(reference(), a, 4, 3, 0)
      const [actual] = await found(wasm(), a, 4, 3, 0)
      expect(distance(actual!.left, expected!.left)).toBeLessThan(1e-5)
      expect(distance(actual!.right, expected!.right)).toBeLessThan(1e-5)
      expect(distance([actual!.values], [expected!.values])).toBeLessThan(1e-6)
      // Without power iterations the values are not those of the matrix, so that equal ones come from an equal sketch.
      expect(singularValues(a)[3]! - expected!.values[3]!).toBeGreaterThan(1e-4)
    }
  })

  it('say what they cost', () => {
    const described = explain(finder(16, 10, 1)(), [256, 200])
    const costs = [...described.matchAll(/(\d+) operations/g)].map(([, count]) => Number(count))
    const width = 26
    expect(costs).toContain(2 * 256 * 200 * width)
    expect(costs.reduce((sum, count) => sum + count, 0)).toBeLessThan(8 * width * 256 * 200 + 60 * width ** 2 * 456)
  })

  it('name what is wrong with an argument', async () => {
    const compiled = (r: number, p: number, q: number) => compile(finder(r, p, q)(), { w: [4, 4] })
    await expect(compiled(0, 1, 1)).rejects.toThrow('randomizedSvd: rank must be a whole number from 1 up, not 0')
    await expect(compiled(1, -1, 1)).rejects.toThrow(
      'randomizedSvd: oversampling must be a whole number from 0 up, not -1',
    )
    await expect(compiled(1, 1, 0.5)).rejects.toThrow(
      'randomizedSvd: powerIterations must be a whole number from 0 up, not 0.5',
    )
  })
})
