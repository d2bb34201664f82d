import {
  compile,
  defineOptimizer,
  gather,
  largestPlaces,
  logUniform,
  nonNegative,
  reference,
  resized,
  scatter,
  type Value,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

/** What both backends make of a gradient, as many numbers as it has; the rule may make more or fewer and they are cut or filled up. */
async function results(make: (g: Value) => Value, shape: readonly number[], gradient: readonly number[], threads = 1) {
  const optimizer = defineOptimizer({
    name: 'tried',
    title: 'Tried',
    paper: { title: 'None', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(0.1, 1) },
    rule: ({ g, p }) => ({ direction: resized(make(g), [p.batch, p.rows, p.columns]).negated() }),
  })
  const found: number[][] = []
  for (const backend of [wasm({ threads }), reference()]) {
    const compiled = await compile(optimizer(), { w: shape }, { backend, nonFinite: 'allow' })
    compiled.gradients.w.set(gradient)
    compiled.step()
    found.push([...compiled.parameters.w])
    compiled.dispose()
  }
  return found
}

async function expectBoth(
  make: (g: Value) => Value,
  shape: readonly number[],
  gradient: readonly number[],
  expected: readonly number[],
) {
  for (const found of await results(make, shape, gradient)) {
    expect(found).toEqual([...expected, ...new Array(found.length - expected.length).fill(0)])
  }
}

describe('the places of the largest', () => {
  it('are found row by row, the largest in size first, the lower of two equal ones', async () => {
    const rows = [3, -4, 0, 4, /**/ 1, 1, 1, 1, /**/ 0, 0, -0.5, 0]
    await expectBoth((g) => largestPlaces(g, 3), [3, 4], rows, [1, 3, 0, 0, 1, 2, 2, 0, 1])
    await expectBoth((g) => largestPlaces(g, 1), [3, 4], rows, [1, 0, 2])
    await expectBoth((g) => largestPlaces(g, 4), [3, 4], rows, [1, 3, 0, 2, 0, 1, 2, 3, 2, 0, 1, 3])
    await expectBoth((g) => largestPlaces(g.as([3, 1, 4]), 2), [3, 4], rows, [1, 3, 0, 1, 2, 0])
  })

  it('count what is not a number as infinite', async () => {
    const row = [1, Number.NaN, Number.NEGATIVE_INFINITY, 5]
    for (const found of await results((g) => largestPlaces(g, 3), [1, 4], row))
      expect(found.slice(0, 3)).toEqual([1, 2, 3])
  })

  it.each([1, 2, 3, 17, 100, 255, 256])('are those that sorting gives, of 256 the first %i', async (count) => {
    const random = randomNumbers(count)
    // Few different sizes, so that many are equal.
    const row = Array.from({ length: 256 }, () => Math.round(8 * random()))
    const sorted = row.map((value, place) => ({ size: Math.abs(value), place }))
    sorted.sort((a, b) => b.size - a.size || a.place - b.place)
    await expectBoth(
      (g) => largestPlaces(g, count),
      [1, 256],
      row,
      sorted.slice(0, count).map(({ place }) => place),
    )
  })

  it('are found of several rows by several threads', async () => {
    const random = randomNumbers(3)
    const values = Array.from({ length: 64 * 40 }, () => Math.fround(random()))
    const [first, second] = await results((g) => largestPlaces(g.as([64, 1, 40]), 5), [64, 40], values, 3)
    expect(first).toEqual(second)
  })

  it('are not to be more than there are, nor more than float32 can count', async () => {
    await expect(results((g) => largestPlaces(g, 5), [2, 4], [])).rejects.toThrow('has no 5 places')
    const wide = (g: Value) => largestPlaces(resized(g, [1, 1, 2 ** 24 + 1]), 1)
    await expect(results(wide, [2, 4], [])).rejects.toThrow('a row of 16777217 elements')
  })
})

describe('elements at places', () => {
  it('are taken row by row; where a row has no such place it is 0', async () => {
    const places = (g: Value) =>
      g
        .as([2, 1, 3])
        .columnIndex()
        .times(2)
        .minus(1)
        .plus(g.as([2, 1, 3]).times(0))
    await expectBoth((g) => gather(g.as([2, 1, 3]), places(g)), [2, 3], [5, 6, 7, 8, 9, 10], [0, 6, 0, 0, 9, 0])
  })

  it('come back by what puts them there', async () => {
    const kept = (g: Value) => scatter(gather(g, largestPlaces(g, 2)), largestPlaces(g, 2), 4)
    await expectBoth(kept, [2, 4], [1, -3, 2, 0, 9, 9, 9, -9], [0, -3, 2, 0, 9, 9, 0, 0])
  })

  it('are added where several have one place, and left out where there is none', async () => {
    // The first row of the gradient is what is put, the second one where.
    const put = (g: Value) => {
      const rows = g.as([2, 1, 4])
      const first = resized(rows, [1, 1, 4])
      const second = resized(
        rows
          .as([1, 2, 4])
          .transposed()
          .as([1, 4, 2])
          .times(rows.as([1, 2, 4]).transposed().columnIndex())
          .sum('columns')
          .as([1, 1, 4]),
        [1, 1, 4],
      )
      return scatter(first, second, 3)
    }
    await expectBoth(put, [2, 4], [1, 10, 100, 1000, 1, 0, 1, 7], [10, 101, 0])
  })

  it('have the same rows as their places', async () => {
    const wrong = (g: Value) => gather(g, largestPlaces(g.transposed(), 1))
    await expect(results(wrong, [2, 4], [])).rejects.toThrow('gather: [1, 2, 4] at places [1, 4, 1]')
    const other = (g: Value) => scatter(g, largestPlaces(g, 2), 4)
    await expect(results(other, [2, 4], [])).rejects.toThrow('there must be a place for each element')
  })
})

describe('numbers under other dimensions', () => {
  it('keep their order, are cut, or are filled up with zeros', async () => {
    await expectBoth((g) => resized(g, [2, 2, 2]).sum('rows'), [2, 3], [1, 2, 3, 4, 5, 6], [4, 6, 5, 6])
    await expectBoth((g) => resized(g, [1, 1, 4]), [2, 3], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4])
    await expectBoth((g) => resized(g, [1, 1, 0]).as([1, 0, 1]).sum('rows'), [2, 3], [1, 2, 3, 4, 5, 6], [0])
  })
})
