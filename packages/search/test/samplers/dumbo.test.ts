import { describe, expect, test } from 'vitest'
import {
  type Definition,
  dumbo,
  float,
  openStudy,
  type Point,
  random,
  randomSearch,
  type Sampler,
  space,
} from '../../src/index.ts'
import { consensus } from '../../src/samplers/dumbo.ts'
import { everything } from '../support/everything.ts'
import { median } from '../support/evolution-functions.ts'
import { proposed, viewOf } from '../support/proposals.ts'

const numbers = (count: number) =>
  space(Object.fromEntries(Array.from({ length: count }, (_, index) => [`x${index}`, float(0, 1)])) as Definition)

describe('consensus', () => {
  test('of two functions that share a dimension is where their sum is smallest', () => {
    // Alone they want y = 0.9 and y = 0.1; the second one three times as much.
    const first = ([x, y]: Point) => (x! - 0.2) ** 2 + (y! - 0.9) ** 2
    const second = ([, y, z]: Point) => 3 * (y! - 0.1) ** 2 + (z! - y!) ** 2
    const found = consensus(
      numbers(3),
      [
        [0, 1],
        [1, 2],
      ],
      [first, second],
      [0.5, 0.5, 0.5],
      random(1, 'consensus'),
    )
    for (const [index, value] of [0.2, 0.3, 0.3].entries()) expect(found[index]).toBeCloseTo(value, 1)
  })

  test('asks a function at its own dimensions alone', () => {
    const seen = new Set<number | null>()
    const first = ([x, , z]: Point) => {
      seen.add(z!)
      return (x! - 0.2) ** 2
    }
    consensus(numbers(3), [[0, 1]], [first], [0.5, 0.5, 0.75], random(1, 'own'))
    expect([...seen]).toEqual([0.75])
  })
})

describe('dumbo', () => {
  const count = 20
  const groups = [0, 1, 2, 3].map((group) => Array.from({ length: 6 }, (_, index) => (5 * group + index) % count))
  const value = (x: readonly number[]) =>
    groups.reduce(
      (sum, own) => sum + own.reduce((total, index) => total + (x[index]! - 0.3 - 0.02 * index) ** 2, 0) ** 0.75,
      0,
    )

  async function best(sampler: Sampler, seed: number): Promise<number> {
    const study = await openStudy({ space: numbers(count), sampler, seed })
    await study.optimize(({ parameters }) => value(Object.values(parameters as Record<string, number>)), { trials: 40 })
    return (await study.best())!.value
  }

  test('comes further than chance in 20 numbers and 40 trials, with overlapping factors of six and with none given', async () => {
    const factors = groups.map((own) => own.map((index) => `x${index}`))
    const seeds = everything ? [1, 2, 3] : [1]
    const medianOf = async (make: () => Sampler) => median(await Promise.all(seeds.map((seed) => best(make(), seed))))
    const drawn = await medianOf(() => randomSearch())
    expect(await medianOf(() => dumbo({ factors }))).toBeLessThan(drawn / 1.5)
    if (everything) expect(await medianOf(() => dumbo())).toBeLessThan(drawn / 1.5)
  })

  test('names a parameter that is not there', async () => {
    await expect(proposed(dumbo({ factors: [['x0', 'x7']] }), viewOf(numbers(2), []))).rejects.toThrow(
      "dumbo: 'x7' is no parameter of this space: x0, x1",
    )
  })
})
