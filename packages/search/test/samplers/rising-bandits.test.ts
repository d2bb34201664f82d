import { expect, test } from 'vitest'
import {
  choice,
  float,
  gridSearch,
  integer,
  openStudy,
  risingBandits,
  sobolSearch,
  space,
  variant,
} from '../../src/index.ts'
import { remaining } from '../../src/samplers/rising-bandits.ts'
import { proposed } from '../support/propose.ts'
import { seen, viewOf } from '../support/view.ts'

const cash = space({
  shared: float(0, 1),
  model: variant({ tree: { depth: float(0, 1) }, net: { rate: float(0, 1) }, line: {} }),
})
const objective = ({ parameters: { shared, model } }: { parameters: ReturnType<typeof cash.values> }) =>
  ({ tree: 0.5, net: 0, line: 2 })[model.kind] + 0.1 * shared

test('gives an arm up when its gains cannot bring it to where another is', () => {
  const pulls = (losses: readonly (readonly [number, number])[]) =>
    losses.map(([arm, loss], number) => seen(number, { point: [arm], losses: [loss] }))
  // Arm 0 has come from 10 to 8 in two trials: by trial 6 it could be at 5, by trial 10 at 1.
  const trials = pulls([
    [1, 4],
    [0, 10],
    [0, 9],
    [0, 8],
  ])
  expect(remaining(trials, 0, [0, 1], 6, 2)).toEqual([1])
  expect(remaining(trials, 0, [0, 1], 10, 2)).toEqual([0, 1])
  expect(remaining(trials.slice(0, 3), 0, [0, 1], 6, 2)).toEqual([0, 1])
  // It stays away, even if the other one's trials were worse from then on.
  expect(remaining([...trials, ...pulls([[0, 1]])], 0, [0, 1], 6, 2)).toEqual([1])
  const equal = pulls([
    [0, 1],
    [1, 1],
    [0, 1],
    [1, 1],
    [0, 1],
    [1, 1],
  ])
  expect(remaining(equal, 0, [0, 1], 6, 2)).toEqual([0, 1])
  const infinite = pulls([
    [0, Infinity],
    [1, Infinity],
    [0, Infinity],
    [0, Infinity],
    [1, 3],
  ])
  expect(remaining(infinite, 0, [0, 1], 6, 2)).toEqual([1])
})

test('takes turns, and then leaves the trials to the best variant', async () => {
  for (const parallel of [1, 4]) {
    const study = await openStudy({ space: cash, sampler: risingBandits({ inner: sobolSearch() }) })
    await study.optimize(objective, { trials: 60, parallel })
    const kinds = (await study.trials()).map(({ parameters }) => parameters.model)
    expect(kinds.slice(0, 6)).toEqual(['tree', 'net', 'line', 'tree', 'net', 'line'])
    const count = (kind: string) => kinds.filter((each) => each === kind).length
    expect(count('line')).toBeLessThan(13)
    expect(count('net')).toBeGreaterThan(35)
    expect((await study.trials()).every(({ point }) => (point[2] === null) === (point[1] !== 0))).toBe(true)
  }
})

test('leaves the turns of a search that is through to the others, and ends', async () => {
  const small = space({ model: variant({ a: { depth: integer(1, 2) }, b: { rate: integer(1, 5) } }) })
  const study = await openStudy({ space: small, sampler: risingBandits({ inner: gridSearch() }) })
  const { reason } = await study.optimize(() => 1, { trials: 100 })
  expect(reason).toMatch(/points were tried/)
  expect(await study.trials()).toHaveLength(7)
})

test('bears odd views and spaces, and names what is no choice', async () => {
  expect(await proposed(risingBandits(), viewOf(cash, []))).toMatchObject({ kind: 'trial' })
  const failed = Array.from({ length: 20 }, (_, number) =>
    seen(number, { state: 'failed', point: [0.5, number % 3, 0.5, null] }),
  )
  expect(await proposed(risingBandits(), viewOf(cash, failed))).toMatchObject({ kind: 'trial' })
  expect(await proposed(risingBandits(), viewOf(space({ x: float(0, 1) }), []))).toMatchObject({ kind: 'trial' })
  const flat = space({ a: float(0, 1), b: choice([1, 2]) })
  expect(await proposed(risingBandits({ dimension: 'b' }), viewOf(flat, []))).toMatchObject({ kind: 'trial' })
  await expect(proposed(risingBandits({ dimension: 'a' }), viewOf(flat, []))).rejects.toThrow(/'a' is no choice/)
  expect(() => risingBandits({ window: 0 })).toThrow(/window must be 1 or more, not 0/)
})
