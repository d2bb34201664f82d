import { expect, test } from 'vitest'
import { float, random, space, variableLength, variant } from '../../src/index.ts'
import { ranked } from '../../src/samplers/parts/ranking.ts'
import { crossed, lengthOf } from '../../src/samplers/variable-length.ts'
import { least, run } from '../support/evolution-functions.ts'
import { seen } from '../support/view.ts'

const layers = space({
  first: float(0, 1),
  depth: variant({
    one: {},
    two: { second: float(0, 1) },
    three: { second: float(0, 1), third: float(0, 1), fourth: float(0, 1) },
  }),
})

test('begins with the shortest chromosomes and lets them grow where nothing is gained', async () => {
  const flat = await run(variableLength({ population: 10 }), layers, () => 1, { trials: 80 })
  const lengths = flat.map(({ point }) => point.filter((coordinate) => coordinate !== null).length)
  for (const [number, length] of lengths.entries()) expect(length).toBeLessThanOrEqual(2 + Math.floor(number / 10))
  expect(Math.max(...lengths.slice(0, 30))).toBeLessThan(5)
  expect(Math.max(...lengths)).toBe(5)
})

test('children have the genes that their parents use', () => {
  // Dimensions: first, depth, two.second, three.second, three.third, three.fourth.
  const short = [0.1, 0.1, 0.9, 0.9, 0.9, 0.9]
  const long = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5]
  expect([lengthOf(layers, short), lengthOf(layers, [0.1, 0.5, 0, 0, 0, 0]), lengthOf(layers, long)]).toEqual([2, 3, 5])
  for (let seed = 0; seed < 20; seed++) {
    const child = crossed(layers, short, long, random(seed, 'children'))
    expect(child.slice(3)).toEqual([0.3, 0.4, 0.5])
    expect([0.1, 0.9]).toContain(child[1])
  }
})

test('finds the long chromosome when it is better', async () => {
  type Values = ReturnType<typeof layers.values>
  const loss = ({ first, depth }: Values) =>
    depth.kind === 'three' ? Math.abs(first - depth.third) + Math.abs(depth.second - 0.3) : 1 + first
  const trials = await run(variableLength({ population: 10 }), layers, loss, { trials: 300 })
  expect(least(trials)).toBeLessThan(0.05)
})

test('the best of many are those that come first when all are put in order', () => {
  const source = random(3, 'ranked')
  const trials = Array.from({ length: 300 }, (_, number) =>
    seen(number, {
      losses: [source.integer(0, 40)],
      violations: [source.integer(-1, 1)],
      state: source.uniform() < 0.1 ? 'failed' : 'complete',
    }),
  )
  for (const count of [0, 1, 7, 299, 300, 400]) expect(ranked(trials, count)).toEqual(ranked(trials).slice(0, count))
})
