import { expect, test } from 'vitest'
import { bohb, choice, dehb, float, hyperband, random, space, variant } from '../../src/index.ts'
import { densityProposal } from '../../src/samplers/parts/kernel-density.ts'
import { proposed } from '../support/propose.ts'
import { countByUntil, line, run, xOf } from '../support/schedules.ts'
import { seen, viewOf } from '../support/view.ts'

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const given = { resource: { name: 'epoch', minimum: 1, maximum: 9 } }

test('densities propose where the good observations are, choices and variants included', () => {
  const mixed = space({ x: float(0, 1), kind: variant({ a: { y: float(0, 1) }, b: {} }), c: choice([1, 2, 3]) })
  const source = random(3, 'observations')
  const observations = Array.from({ length: 60 }, () => {
    const point = mixed.fromCube(mixed.dimensions.map(() => source.uniform()))
    const good = Math.abs(point[0]! - 0.8) + (point[1] === 1 ? 0 : 1) + (point[3] === 2 ? 0 : 1)
    return { point, loss: good }
  })
  const points = Array.from({ length: 100 }, (_, index) => densityProposal(mixed, observations, random(index, 'draw'))!)
  expect(Math.abs(mean(points.map(([x]) => x!)) - 0.8)).toBeLessThan(0.1)
  expect(points.filter((point) => point[1] === 1).length).toBeGreaterThan(80)
  expect(points.filter((point) => point[3] === 2).length).toBeGreaterThan(80)
  expect(points.every((point) => (point[1] === 1) === (point[2] === null))).toBe(true)
  // Four dimensions need seven observations.
  expect(densityProposal(mixed, observations.slice(0, 6), source)).toBe(null)
  const equal = observations.map(({ point }) => ({ point, loss: Number.MAX_VALUE }))
  expect(densityProposal(mixed, equal, source)).toHaveLength(4)
})

test('bohb has the brackets of Hyperband and better points than random ones', async () => {
  const model = await run(bohb({ rounds: 2 }), { maximum: 27 })
  const plain = await run(hyperband({ rounds: 2 }), { maximum: 27 })
  expect(countByUntil(model.evaluations)).toEqual(countByUntil(plain.evaluations))
  const late = (records: typeof plain.records) => mean(records.slice(50).map(xOf))
  expect(late(model.records)).toBeLessThan(0.6 * late(plain.records))
  expect(() => bohb({ randomShare: 2 })).toThrow(/randomShare must be from 0 to 1, not 2/)
})

test('bohb is pure, bears odd views, and has 4 workers', async () => {
  const note = { bracket: 0, first: 0, losses: [], inner: null }
  const trials = [Infinity, 1, 1, -Infinity, 1, 1].map((loss, number) =>
    seen(number, { state: 'paused', losses: [loss], point: [number / 6], until: 1, note }),
  )
  const mixed = [...trials, seen(6, { state: 'failed', note }), seen(7, { state: 'running', note, until: 1 })]
  expect(await proposed(bohb({ randomShare: 0 }), viewOf(line, mixed, given))).toMatchObject({
    kind: 'trial',
    until: 1,
  })
  expect(await proposed(bohb(), viewOf(line, [], given))).toMatchObject({ kind: 'trial' })
  const { evaluations, reason } = await run(bohb({ rounds: 1 }), { maximum: 9, parallel: 4 })
  expect(reason).toBe('bohb: all brackets are through')
  expect(countByUntil(evaluations)).toEqual({ 1: 9, 3: 3 + 5, 9: 1 + 1 + 3 })
})

test('dehb halves once, then evolves at every level, and gets better', async () => {
  const { records, evaluations } = await run(dehb(), { maximum: 27, resource: 1500 })
  const first = records.slice(0, 27)
  expect(first.filter(({ until }) => until! >= 3)).toHaveLength(9)
  expect(records.slice(27).every(({ note }) => note !== null && 'target' in (note as object))).toBe(true)
  // The second bracket begins 12 at 3, then 4 at 9 and 1 at 27, each anew.
  expect(records.slice(27, 44).map(({ until }) => until)).toEqual([...Array(12).fill(3), ...Array(4).fill(9), 27])
  const late = records.slice(-40)
  expect(mean(late.map(xOf))).toBeLessThan(0.5 * mean(first.map(xOf)))
  expect(evaluations.length).toBeGreaterThan(80)
})

test('dehb is pure, bears failures, and has 4 workers', async () => {
  expect(await proposed(dehb(), viewOf(line, [], given))).toMatchObject({ kind: 'trial', until: 1 })
  const note = { bracket: 0, first: 0, losses: [], inner: null }
  const failed = Array.from({ length: 9 }, (_, number) => seen(number, { state: 'failed', note }))
  expect(await proposed(dehb(), viewOf(line, failed, given))).toMatchObject({
    kind: 'trial',
    until: 3,
    note: { level: 1, target: 0 },
  })
  const { records } = await run(dehb(), { maximum: 9, parallel: 4, resource: 200, fails: (number) => number % 5 === 0 })
  expect(records.filter(({ state }) => state === 'complete').length).toBeGreaterThan(3)
  expect(() => dehb({ scale: 0 })).toThrow(/scale must be above 0, not 0/)
})
