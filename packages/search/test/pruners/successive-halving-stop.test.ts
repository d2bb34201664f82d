import { expect, test } from 'vitest'
import { float, openStudy, randomSearch, Stopped, space, successiveHalvingStop } from '../../src/index.ts'
import { rungsReached } from '../../src/pruners/successive-halving-stop.ts'
import { curve, seen, viewOf } from '../support/view.ts'

const line = space({ x: float(0, 1) })
const options = { minimum: 1, eta: 2 }
const at = (number: number, step: number, value: number) =>
  seen(number, { state: 'running', reports: [{ step, value }] })

test('lets a report through the rungs it has passed, one after the other', () => {
  const trials = Array.from({ length: 7 }, (_, number) => at(number, 7, 0.1 * (number + 1)))
  const pruner = successiveHalvingStop(options)
  const outcome = [0.75, 0.25, 0.05].map((value, index) => {
    const trial = at(7 + index, 7, value)
    const view = viewOf(line, [...trials, trial])
    trials.push(trial)
    return [rungsReached(view, trial, options), pruner.decide(view, trial)]
  })
  // Rung 0 alone; rungs 0 and 1; rungs 0, 1 and 2, while rung 3 is at step 8.
  expect(outcome).toEqual([
    [1, 'stop'],
    [2, 'stop'],
    [3, 'continue'],
  ])
})

test('never stops one that is alone, whose steps 0 to 9 pass the rungs 0 to 3', () => {
  const reports = Array.from({ length: 10 }, (_, step) => ({ step, value: 1 }))
  for (let count = 1; count <= 10; count++) {
    const trial = seen(0, { state: 'running', reports: reports.slice(0, count) })
    expect(successiveHalvingStop(options).decide(viewOf(line, [trial]), trial)).toBe('continue')
  }
  const whole = seen(0, { state: 'running', reports })
  expect(rungsReached(viewOf(line, [whole]), whole, options)).toBe(4)
})

test('stops NaN at a rung and leaves it alone elsewhere', () => {
  const pruner = successiveHalvingStop({ minimum: 2, eta: 2 })
  const [first, second] = [curve(0, [NaN]), curve(0, [NaN, NaN])]
  expect(pruner.decide(viewOf(line, [first]), first)).toBe('continue')
  expect(pruner.decide(viewOf(line, [second]), second)).toBe('stop')
  const other = curve(0, [1, NaN], { state: 'pruned' })
  expect(pruner.decide(viewOf(line, [other]), curve(1, [1, Infinity]))).toBe('continue')
})

test('compares at the newest rung, equals let on, and not between rungs', () => {
  const others = [1, 2, 3, 3].map((value, number) => curve(number, [value], { state: 'pruned' }))
  const decide = (values: number[]) => successiveHalvingStop(options).decide(viewOf(line, others), curve(9, values))
  // Of five two go on.
  expect(decide([2])).toBe('continue')
  expect(decide([2.1])).toBe('stop')
  expect(decide([1.5, 9])).toBe('continue')
  expect(decide([9, 9, 9])).toBe('continue')
  const skipped = successiveHalvingStop({ ...options, skip: 1 })
  expect(skipped.decide(viewOf(line, others), curve(9, [5]))).toBe('continue')
  const resource = { name: 'epoch', minimum: 2, maximum: 8 }
  expect(successiveHalvingStop({ eta: 2 }).decide(viewOf(line, others, { resource }), curve(9, [5]))).toBe('continue')
  expect(() => successiveHalvingStop({ eta: 1.5 })).toThrow(/eta must be a whole number from 2, not 1.5/)
})

test('spends far less than whole trials with 4 workers, and keeps the best', async () => {
  const resource = { name: 'epoch', minimum: 1, maximum: 16 }
  const study = await openStudy({
    space: line,
    sampler: randomSearch(),
    resource,
    pruner: successiveHalvingStop({ eta: 2 }),
  })
  await study.optimize(
    async (trial) => {
      for (let step = 1; step <= 16; step++) {
        if ((await trial.report(step, trial.parameters.x + 1 / step)) === 'stop') throw new Stopped()
      }
      return trial.parameters.x
    },
    { trials: 64, parallel: 4 },
  )
  const trials = await study.trials()
  const used = trials.reduce((sum, { reports }) => sum + reports.at(-1)!.step, 0)
  expect(used).toBeLessThan(64 * 16 * 0.5)
  const least = Math.min(...trials.map(({ point }) => point[0]!))
  expect((await study.best())!.value).toBe(least)
})
