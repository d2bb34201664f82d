import { describe, expect, it } from 'vitest'
import { defineTask, type Task } from '../../src/task.ts'

const valid: Task = {
  name: 'parabola',
  title: 'A parabola',
  description: 'The square of one number.',
  parameters: { x: [] },
  initialize: () => {},
  gradient: () => 0,
  metric: () => 0,
  metricName: 'loss',
  direction: 'minimize',
  targets: [1, 0.5],
  budget: { steps: 10, evaluateEvery: 5 },
}

describe('defineTask', () => {
  it('returns the task itself', () => {
    expect(defineTask(valid)).toBe(valid)
    expect(defineTask({ ...valid, direction: 'maximize', targets: [1, 2], dispose: () => {} }).targets).toEqual([1, 2])
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['name', { name: undefined }, "field 'name' of the task is missing; it must be a string that is not empty"],
    ['name', { name: '../evil' }, "task field 'name' is '../evil'; it must start with a letter or digit"],
    ['title', { title: ' ' }, "field 'title' of task 'parabola' is ' '; it must be a string"],
    ['parameters', { parameters: [] }, "field 'parameters' of task 'parabola' is []; it must be an object"],
    ['parameters', { parameters: {} }, 'it must be an object with at least one parameter'],
    [
      'shape',
      { parameters: { w: [3, 0] } },
      "field 'parameters['w']' of task 'parabola' is [3,0]; it must be an array of whole numbers",
    ],
    ['shape', { parameters: { w: 3 } }, "field 'parameters['w']' of task 'parabola' is 3"],
    [
      'gradient',
      { gradient: undefined },
      "field 'gradient' of task 'parabola' is missing; it must be a function, gradient(",
    ],
    ['metric', { metric: 4 }, "field 'metric' of task 'parabola' is 4"],
    [
      'direction',
      { direction: 'down' },
      "field 'direction' of task 'parabola' is 'down'; it must be 'minimize' or 'maximize'",
    ],
    [
      'targets',
      { targets: [] },
      "field 'targets' of task 'parabola' is []; it must be an array of at least one finite number",
    ],
    ['targets', { targets: [1, Number.NaN] }, `field 'targets' of task 'parabola' is [1,"NaN"]`],
    ['targets', { targets: [1, 2] }, "easiest first, so strictly falling with direction 'minimize'"],
    ['targets', { direction: 'maximize' }, "easiest first, so strictly rising with direction 'maximize'"],
    [
      'budget',
      { budget: undefined },
      "field 'budget' of task 'parabola' is missing; it must be an object { steps, evaluateEvery }",
    ],
    [
      'steps',
      { budget: { steps: 1.5, evaluateEvery: 1 } },
      "field 'budget.steps' of task 'parabola' is 1.5; it must be a whole number",
    ],
    [
      'evaluateEvery',
      { budget: { steps: 10, evaluateEvery: 11 } },
      'is 11; it must be a whole number from 1 to budget.steps (10)',
    ],
    [
      'loss',
      { loss: 0.5 },
      "field 'loss' of task 'parabola' is 0.5; it must be a function, loss(parameters, { seed, step })",
    ],
    [
      'statistics',
      { statistics: ['weather'] },
      "field 'statistics' of task 'parabola' is [\"weather\"]; it must be an array of names among activationMoment, " +
        'activationSquares, activationMean, outputGradientMoment, outputGradientSquares, outputGradientMean, or absent',
    ],
    [
      'dispose',
      { dispose: true },
      "field 'dispose' of task 'parabola' is true; it must be a function without arguments, or absent",
    ],
  ])('names a wrong %s', (_, change, message) => {
    expect(() => defineTask({ ...valid, ...change } as unknown as Task)).toThrow(message)
  })

  it('refuses what is no object', () => {
    expect(() => defineTask('adamw' as unknown as Task)).toThrow(
      "a task must be an object with the fields of Task, not 'adamw'",
    )
    expect(() => defineTask(null as unknown as Task)).toThrow('not null')
  })
})
