import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import {
  asha,
  choice,
  hyperband,
  integer,
  medianPruner,
  randomSearch,
  space,
  successiveHalving,
} from '../../src/index.ts'
import { endsOf, expectedBest, type Recorded, recordedTable, simulate, type Table } from '../../src/testing/index.ts'
import { everything } from '../support/everything.ts'

const path = new URL('../../../race/data/recorded.json.gz', import.meta.url)
const recorded = JSON.parse(gunzipSync(readFileSync(path)).toString('utf8')) as Recorded

const hand: Table = {
  name: 'hand',
  direction: 'maximize',
  space: space({ optimizer: choice(['a', 'b']), setting: integer(0, 1) }),
  resource: { name: 'epoch', minimum: 1, maximum: 3 },
  curve: ({ optimizer, setting }) => [0, 1, optimizer === 'a' ? (setting as number) : 10],
  cost: ({ optimizer }) => (optimizer === 'a' ? 1 : 5),
}

test('the expected best is exact', () => {
  // The best of two of five is the first with 4/10, then 3/10, 2/10, 1/10.
  expect(expectedBest([0, 0, 1, 0, 0], 2, 'maximize')).toBeCloseTo(0.4, 14)
  expect(expectedBest([30, 10, 20, 50, 40], 2)).toBeCloseTo(4 + 6 + 6 + 4, 12)
  expect(expectedBest([1, 2, 3, 4, 5], 5)).toBe(1)
  expect(expectedBest([1, 2, 3, 4], 1)).toBe(2.5)
  // Of the numbers 1 to N the least of n is (N + 1) / (n + 1) in the mean.
  const numbers = Array.from({ length: 1000 }, (_, index) => index + 1)
  expect(expectedBest(numbers, 10)).toBeCloseTo(91, 9)
  expect(expectedBest(numbers, 10, 'maximize')).toBeCloseTo(910, 9)
  expect(() => expectedBest([1, 2], 3)).toThrow(/from 1 to 2, not 3/)
})

test('random search has it within its standard error, on every recorded task', async () => {
  const [runs, draws] = [60, 10]
  for (const { name } of recorded.tasks) {
    const table = recordedTable(recorded, name)
    const ends = endsOf(table)
    const whole = { ...table, resource: { ...table.resource, maximum: 1 } }
    const judge = async (curve: Table['curve'], values: readonly number[]) => {
      let sum = 0
      for (let seed = 0; seed < runs; seed++) {
        sum += (await simulate({ ...whole, curve }, { sampler: randomSearch(), trials: draws, seed })).best
      }
      const exact = expectedBest(values, draws)
      const variance =
        expectedBest(
          values.map((value) => value ** 2),
          draws,
        ) -
        exact ** 2
      expect(Math.abs(sum / runs - exact), name).toBeLessThan(2 * Math.sqrt(variance / runs))
    }
    await judge((at) => [table.curve(at).at(-1)!], ends)
    // The tails of some tasks are so heavy that their mean says little: the places in the order say more.
    const places = new Map([...ends].sort((x, y) => x - y).map((end, index) => [end, index + 1]))
    const place = (end: number) => places.get(end)!
    await judge((at) => [place(table.curve(at).at(-1)!)], ends.map(place))
  }
})

test('time is that of the trials side by side', async () => {
  const all = await simulate(hand, { sampler: randomSearch(), trials: 4 })
  // Two points of three steps at 1, two at 5.
  expect(all.time).toBe(2 * 3 + 2 * 15)
  expect(all.used).toBe(12)
  expect(all.best).toBe(10)
  expect(all.trace.at(-1)!.best).toBe(10)
  const side = await simulate(hand, { sampler: randomSearch(), trials: 4, workers: 4 })
  expect(side.time).toBe(15)
  const short = await simulate(hand, { sampler: randomSearch(), time: 7, workers: 4, trials: 4 })
  expect(short.time).toBeLessThanOrEqual(7)
  expect(short.best).toBe(1)
  await expect(simulate(hand, { sampler: randomSearch() })).rejects.toThrow(/needs a limit on trials or time/)
  expect(() => recordedTable(recorded, 'nothing')).toThrow(/'nothing' was not recorded: .*digits-mlp/)
})

test('the same options give the same search, with workers, pruners and schedulers', async () => {
  const table = recordedTable(recorded, 'digits-softmax')
  for (const options of [
    { sampler: randomSearch(), pruner: medianPruner(), workers: 4, trials: 30 },
    { sampler: asha(), workers: 4, time: 300 },
  ]) {
    const [first, again] = [await simulate(table, options), await simulate(table, options)]
    expect(again.trace).toEqual(first.trace)
    expect(again.used).toBe(first.used)
  }
})

test('halving reaches more than random search with the same steps', async () => {
  const table = recordedTable(recorded, 'digits-mlp')
  const steps = 20 * table.resource.maximum
  const random = expectedBest(endsOf(table), 20, table.direction)
  for (const make of everything ? [successiveHalving, hyperband, asha] : [asha]) {
    const bests: number[] = []
    for (let seed = 0; seed < 10; seed++)
      bests.push((await simulate(table, { sampler: make(), time: steps, seed })).best)
    const mean = bests.reduce((sum, best) => sum + best, 0) / bests.length
    expect(mean, make.name).toBeLessThan(random)
  }
})
