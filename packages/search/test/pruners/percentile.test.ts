import { expect, test } from 'vitest'
import {
  float,
  medianPruner,
  openStudy,
  patientPruner,
  percentilePruner,
  Stopped,
  space,
  thresholdPruner,
} from '../../src/index.ts'
import { curve, seen, viewOf } from '../support/view.ts'

const line = space({ x: float(0, 1) })
const others = [5, 1, 4, 2, 3].map((end, number) => curve(number, [10 + end, end, 20], { losses: [end] }))

test('compares what trials had reached by the same step', () => {
  const view = viewOf(line, others)
  const decide = (percentile: number, values: number[]) => percentilePruner(percentile).decide(view, curve(9, values))
  // By step 2 the others had reached 1, 2, 3, 4 and 5.
  expect(decide(50, [100, 3])).toBe('continue')
  expect(decide(50, [100, 3.01])).toBe('stop')
  expect(decide(25, [100, 2.01])).toBe('stop')
  expect(decide(10, [100, 1.4])).toBe('continue')
  expect(decide(10, [100, 1.41])).toBe('stop')
  // What was reached before counts, at step 3 too.
  expect(decide(50, [100, 2, 50])).toBe('continue')
  expect(medianPruner().decide(view, curve(9, [13.5]))).toBe('stop')
  expect(medianPruner().decide(view, curve(9, [13]))).toBe('continue')
})

test('needs enough complete trials and steps, and steps need not agree', () => {
  const late = curve(9, [100, 100])
  expect(medianPruner().decide(viewOf(line, others.slice(1)), late)).toBe('continue')
  expect(medianPruner({ startup: 4 }).decide(viewOf(line, others.slice(1)), late)).toBe('stop')
  expect(medianPruner({ warmup: 2 }).decide(viewOf(line, others), late)).toBe('continue')
  const sparse = seen(9, { reports: [{ step: 2.5, value: 3.5 }] })
  expect(medianPruner().decide(viewOf(line, others), sparse)).toBe('stop')
  const early = seen(9, { reports: [{ step: 0.5, value: 100 }] })
  expect(medianPruner().decide(viewOf(line, others), early)).toBe('continue')
})

test('bears NaN, infinities, equals, no trials, and failed ones only', () => {
  const view = viewOf(line, others)
  expect(medianPruner().decide(view, curve(9, [NaN, NaN]))).toBe('stop')
  expect(medianPruner().decide(view, curve(9, [1, NaN]))).toBe('continue')
  expect(medianPruner().decide(view, curve(9, [Infinity]))).toBe('stop')
  const infinite = Array.from({ length: 6 }, (_, number) => curve(number, [Infinity], { losses: [Infinity] }))
  expect(medianPruner().decide(viewOf(line, infinite), curve(9, [Infinity]))).toBe('continue')
  expect(medianPruner().decide(viewOf(line, []), curve(0, [1]))).toBe('continue')
  expect(medianPruner().decide(view, seen(9))).toBe('continue')
  const failed = others.map((trial) => ({ ...trial, state: 'failed' as const }))
  expect(medianPruner().decide(viewOf(line, failed), curve(9, [100]))).toBe('continue')
  expect(() => percentilePruner(101)).toThrow(/from 0 to 100, not 101/)
})

test('stops trials of a study with 4 workers, also where more is better', async () => {
  const study = await openStudy({ space: line, objectives: 'maximize', pruner: medianPruner() })
  const objective = async (trial: Parameters<Parameters<typeof study.optimize>[0]>[0]) => {
    for (let step = 1; step <= 5; step++) {
      if ((await trial.report(step, trial.parameters.x * step)) === 'stop') throw new Stopped()
    }
    return trial.parameters.x * 5
  }
  await study.optimize(objective, { trials: 40, parallel: 4 })
  const trials = await study.trials()
  const ends = (state: string) => trials.filter((trial) => trial.state === state).map(({ point }) => point[0]!)
  expect(ends('pruned').length).toBeGreaterThan(5)
  expect(Math.max(...ends('complete'))).toBeGreaterThan(Math.max(...ends('pruned')))
})

test('threshold has bounds in the direction of the objective', () => {
  const minimized = viewOf(line, [])
  const maximized = viewOf(line, [], { direction: 'maximize' })
  const pruner = thresholdPruner({ lower: 0, upper: 2 })
  expect([-0.1, 0, 2, 2.1, NaN, Infinity].map((value) => pruner.decide(minimized, curve(0, [value])))).toEqual([
    'stop',
    'continue',
    'continue',
    'stop',
    'stop',
    'stop',
  ])
  // A value of 1 that is to become large is seen as -1.
  expect(pruner.decide(maximized, curve(0, [-1]))).toBe('continue')
  expect(pruner.decide(maximized, curve(0, [1]))).toBe('stop')
  expect(thresholdPruner({ upper: 2, warmup: 1 }).decide(minimized, curve(0, [3]))).toBe('continue')
  expect(thresholdPruner({ upper: 2, warmup: 1 }).decide(minimized, curve(0, [3, 3]))).toBe('stop')
  expect(thresholdPruner().decide(minimized, curve(0, [NaN]))).toBe('stop')
  expect(thresholdPruner().decide(minimized, curve(0, [Infinity]))).toBe('continue')
  expect(() => thresholdPruner({ lower: 1, upper: 1 })).toThrow(/lower must be below upper, not 1 and 1/)
})

test('patient waits for steps without gain, however few the reports', () => {
  const always = { name: 'always', decide: () => 'stop' as const }
  const pruner = patientPruner(always, { steps: 3 })
  const view = viewOf(line, [])
  expect(pruner.decide(view, curve(0, [5, 4, 4, 4]))).toBe('continue')
  expect(pruner.decide(view, curve(0, [5, 4, 4, 4, 4]))).toBe('stop')
  expect(pruner.decide(view, curve(0, [5, 4, 4, 4, 3.9]))).toBe('continue')
  expect(patientPruner(always, { steps: 3, tolerance: 0.2 }).decide(view, curve(0, [5, 4, 4, 4, 3.9]))).toBe('stop')
  expect(patientPruner({ ...always, decide: () => 'continue' }).decide(view, curve(0, [5, 5, 5, 5, 5, 5, 5]))).toBe(
    'continue',
  )
  const sparse = seen(0, {
    reports: [
      { step: 10, value: 1 },
      { step: 20, value: 1 },
    ],
  })
  expect(pruner.decide(view, sparse)).toBe('stop')
  expect(pruner.decide(view, curve(0, [NaN, NaN, NaN, NaN]))).toBe('stop')
  expect(pruner.decide(view, curve(0, [1]))).toBe('continue')
  expect(() => patientPruner(always, { steps: -1 })).toThrow(/steps must be 0 or more, not -1/)
})
