import { expect, test } from 'vitest'
import { openStudy, pasha } from '../../src/index.ts'
import { isStable } from '../../src/samplers/pasha.ts'
import { proposed } from '../support/propose.ts'
import { line, run, xOf } from '../support/schedules.ts'
import { curve, seen, viewOf } from '../support/view.ts'

const trial = (number: number, loss: number, losses: number[], reports: number[] = []) =>
  curve(number, reports, { state: 'paused', losses: [loss], note: { bracket: 0, first: 0, losses, inner: null } })

test('is stable when the rung below ranks alike, up to the noise of curves that cross twice', () => {
  expect(isStable([trial(0, 1, [5]), trial(1, 2, [6])], 1)).toBe(true)
  expect(isStable([trial(0, 2, [5]), trial(1, 1, [6])], 1)).toBe(false)
  expect(isStable([trial(0, 1, [5])], 1)).toBe(true)
  // They cross twice and are 0.3 apart in the end; 0.2 apart now.
  const crossing = [trial(0, 1.2, [5], [1, 3, 1.2]), trial(1, 1, [6], [2, 2, 1.5])]
  expect(isStable(crossing, 1)).toBe(true)
  expect(isStable([crossing[0]!, { ...crossing[1]!, losses: [0.8] }], 1)).toBe(false)
})

test('stays at the lowest rungs while the ranking does, and then sends the best to the end', async () => {
  for (const parallel of [1, 4]) {
    const { records, used, reason } = await run(pasha({ trials: 60 }), { parallel })
    expect(reason).toMatch(/pasha: /)
    const complete = records.filter(({ state }) => state === 'complete')
    expect(complete).toHaveLength(1)
    expect(xOf(complete[0]!)).toBe(Math.min(...records.map(xOf)))
    expect(records.filter(({ until }) => until! > 3)).toHaveLength(1)
    expect(used).toBeLessThan(60 + 2 * 30 + 81)
  }
})

test('grows while rankings change', async () => {
  const study = await openStudy({
    space: line,
    sampler: pasha({ trials: 60 }),
    resource: { name: 'epoch', minimum: 1, maximum: 81 },
  })
  // Every level turns the order over.
  await study.optimize(
    ({ until, parameters: { x } }) => (Math.round(Math.log(until!) / Math.log(3)) % 2 === 0 ? x : 1 - x),
    { trials: 100 },
  )
  const most = Math.max(...(await study.trials()).filter(({ state }) => state === 'paused').map(({ until }) => until!))
  expect(most).toBeGreaterThanOrEqual(9)
})

test('bears odd views', async () => {
  const given = { resource: { name: 'epoch', minimum: 1, maximum: 9 } }
  const note = { bracket: 0, first: 0, losses: [], inner: null }
  expect(await proposed(pasha(), viewOf(line, [], given))).toMatchObject({ kind: 'trial', until: 1 })
  const failed = [seen(0, { state: 'failed', note })]
  expect(await proposed(pasha({ trials: 1 }), viewOf(line, failed, given))).toMatchObject({ kind: 'end' })
  const running = [...failed, seen(1, { state: 'running', note })]
  expect(await proposed(pasha({ trials: 2 }), viewOf(line, running, given))).toMatchObject({ kind: 'wait' })
  const infinite = [0, 1, 2].map((number) => trial(number, Infinity, []))
  expect(await proposed(pasha(), viewOf(line, infinite, given))).toMatchObject({ kind: 'continue', trial: 0 })
})
