import { expect, test } from 'vitest'
import { asha, gridSearch } from '../../src/index.ts'
import { proposed } from '../support/propose.ts'
import { countByUntil, line, run, xOf } from '../support/schedules.ts'
import { seen, viewOf } from '../support/view.ts'

const given = { resource: { name: 'epoch', minimum: 1, maximum: 9 } }
const trial = (
  number: number,
  loss: number | null,
  losses: number[] = [],
  state: 'paused' | 'running' | 'failed' | 'complete' = 'paused',
) => seen(number, { state, losses: loss === null ? null : [loss], note: { bracket: 0, first: 0, losses, inner: null } })

test('promotes the best of each eta from the highest rung, and begins anew otherwise', async () => {
  const answer = (trials: Parameters<typeof viewOf>[1]) => proposed(asha(), viewOf(line, trials, given))
  expect(await answer([])).toMatchObject({ kind: 'trial', until: 1 })
  expect(await answer([trial(0, 2), trial(1, 1)])).toMatchObject({ kind: 'trial', until: 1 })
  expect(await answer([trial(0, 2), trial(1, 1), trial(2, 3)])).toMatchObject({ kind: 'continue', trial: 1, until: 3 })
  // Once it has gone on, one of three is through; of six the next goes.
  const gone = [trial(0, 2), trial(1, null, [1], 'running'), trial(2, 3)]
  expect(await answer(gone)).toMatchObject({ kind: 'trial' })
  expect(await answer([...gone, trial(3, 4), trial(4, 5), trial(5, 6)])).toMatchObject({ kind: 'continue', trial: 0 })
  // Three at rung 1: the best of them goes to the end before anything below.
  const high = [
    trial(0, 5, [1]),
    trial(1, 4, [2]),
    trial(2, 6, [3]),
    ...[3, 4, 5, 6, 7, 8].map((number) => trial(number, number + 5)),
  ]
  expect(await answer(high)).toEqual({
    kind: 'continue',
    trial: 1,
    until: 9,
    note: { bracket: 0, first: 0, losses: [2, 4], inner: null },
  })
})

test('bears failed trials, infinities and equals', async () => {
  const answer = (trials: Parameters<typeof viewOf>[1], options = {}) =>
    proposed(asha(options), viewOf(line, trials, given))
  const failed = [0, 1, 2, 3].map((number) => trial(number, null, [], 'failed'))
  expect(await answer(failed)).toMatchObject({ kind: 'trial' })
  expect(await answer(failed, { trials: 4 })).toEqual({ kind: 'end', reason: 'no trial can go on any more' })
  const equal = [0, 1, 2].map((number) => trial(number, Infinity))
  expect(await answer(equal)).toMatchObject({ kind: 'continue', trial: 0 })
  expect(await answer([trial(0, 1), trial(1, null, [], 'running')], { trials: 2 })).toEqual({
    kind: 'wait',
    reason: '1 trials have to end or pause before others can go on',
  })
  // One that failed on its way up keeps the place that it had.
  expect(await answer([trial(0, null, [1], 'failed'), trial(1, 2), trial(2, 3)])).toMatchObject({ kind: 'trial' })
})

test('sends on a third of each rung, alone or with 4 workers', async () => {
  const alone = await run(asha({ trials: 81 }))
  expect(countByUntil(alone.evaluations)).toMatchObject({ 1: 81 })
  for (const { evaluations, records } of [alone, await run(asha({ trials: 81 }), { parallel: 4 })]) {
    const counts = countByUntil(evaluations)
    expect(counts[3]).toBeGreaterThanOrEqual(27)
    expect(counts[3]).toBeLessThan(45)
    expect(counts[81]).toBeGreaterThanOrEqual(1)
    const best = [...records].sort((a, b) => xOf(a) - xOf(b))[0]!
    expect(best).toMatchObject({ state: 'complete', until: 81 })
  }
})

test('ends with the sampler inside', async () => {
  const { reason, records } = await run(asha({ inner: gridSearch({ parts: 9 }) }), { maximum: 9 })
  expect(reason).toBe('asha: no trial can go on any more')
  expect(records).toHaveLength(9)
})
