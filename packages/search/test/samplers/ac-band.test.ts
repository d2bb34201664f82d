import { expect, test } from 'vitest'
import { acBand } from '../../src/index.ts'
import { epochsOf } from '../../src/samplers/ac-band.ts'
import { proposed } from '../support/propose.ts'
import { line, run, xOf } from '../support/schedules.ts'
import { seen, viewOf } from '../support/view.ts'

const resource = { name: 'instance', minimum: 1, maximum: 100 }

test('has the epochs of the paper', () => {
  // 1 - 0.95^59 is the first above 0.95, and 60 points are halved six times, each with the best so far.
  const epochs = epochsOf(resource, 0.05, 0.05, 4)
  expect(epochs.map(({ size }) => size)).toEqual([31, 16, 9, 5, 3, 2])
  // Of four one stays in epoch 1 and 2 (of 16: 4, 1): 31 become 7 + 3, 10 become 2 + 2, 4 become 1.
  expect(epochs[0]!.untils).toHaveLength(3)
  expect(epochs[1]!.untils).toHaveLength(2)
  // Of four two stay in epoch 3: 9 become 5, 5 become 3, three 1.
  expect(epochs[2]!.untils).toHaveLength(3)
  expect(epochs[0]!.untils[0]).toBe(1)
  expect(epochs.at(-1)!.untils.at(-1)).toBe(100)
  // With alpha and delta of a half one point is enough, and it is compared with the best so far, of which there is none.
  expect(epochsOf(resource, 0.5, 0.5, 4).map(({ size }) => size)).toEqual([2])
})

test('brings the best of its points to the end, alone and with 4 workers', async () => {
  for (const parallel of [1, 4]) {
    const { records, reason, used } = await run(acBand(), { maximum: 100, parallel })
    expect(reason).toBe('acBand: all epochs are through')
    expect(records).toHaveLength(30 + 15 + 8 + 4 + 2 + 1)
    const complete = records.filter(({ state }) => state === 'complete')
    const best = records.reduce((a, b) => (xOf(b) < xOf(a) ? b : a))
    expect(complete.map(({ number }) => number)).toContain(best.number)
    expect(used).toBeLessThan(0.6 * 60 * 100)
  }
})

test('goes on past failures', async () => {
  const { records, reason } = await run(acBand(), { maximum: 100, fails: (number) => number % 4 === 1 })
  expect(reason).toBe('acBand: all epochs are through')
  const rest = records.filter(({ state }) => state !== 'failed')
  const best = rest.reduce((a, b) => (xOf(b) < xOf(a) ? b : a))
  expect(best.state).toBe('complete')
})

test('bears odd views, and says what it waits for', async () => {
  const given = { resource }
  const sampler = acBand({ alpha: 0.5, delta: 0.25, group: 2 })
  const note = { epoch: 0, past: [] }
  expect(await proposed(sampler, viewOf(line, [], given))).toMatchObject({ kind: 'trial', until: 1, note })
  const running = [0, 1].map((number) => seen(number, { state: 'running', until: 1, note }))
  expect(await proposed(sampler, viewOf(line, running, given))).toEqual({
    kind: 'wait',
    reason: 'round 0 of epoch 0 waits for 2 of 2 trials',
  })
  const failed = [0, 1, 2].map((number) =>
    seen(number, { state: 'failed', until: 1, note: { epoch: number >> 1, past: [] } }),
  )
  expect(await proposed(sampler, viewOf(line, failed, given))).toEqual({
    kind: 'end',
    reason: 'all epochs are through',
  })
  expect(() => acBand({ alpha: 1 })).toThrow(/alpha must be between 0 and 1, not 1/)
})
