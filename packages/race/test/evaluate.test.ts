import { compile, defineOptimizer, inputArray, inputNumber, logUniform, lossInput, nonNegative } from 'fallline'
import { expect, it } from 'vitest'
import { defineTask } from '../src/index.ts'
import { measureCosts } from '../src/training/cost.ts'
import { evaluationOf } from '../src/training/evaluate.ts'
import { train } from '../src/training/training.ts'

const curvatures = [4, 0.5, 10]

/** Half the sum of curvature · x². */
const bowl = defineTask({
  name: 'bowl',
  title: 'Bowl',
  description: 'A bowl with known curvatures.',
  parameters: { x: [3] },
  initialize: (parameters) => parameters.x!.set([1, -2, 0.5]),
  gradient(parameters, gradients) {
    gradients.x!.set(parameters.x!.map((value, index) => curvatures[index]! * value))
    return parameters.x!.reduce((sum, value, index) => sum + (curvatures[index]! * value ** 2) / 2, 0)
  },
  metric: (parameters) => parameters.x!.reduce((sum, value, index) => sum + (curvatures[index]! * value ** 2) / 2, 0),
  metricName: 'height',
  direction: 'minimize',
  targets: [1e-6],
  budget: { steps: 3, evaluateEvery: 1 },
})

const common = {
  family: 'curvature',
  paper: { title: 'None', authors: 'Nobody', year: 2000 },
  hyper: { learningRate: nonNegative(1) },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 1) },
} as const

const newton = defineOptimizer({
  ...common,
  name: 'newton',
  title: 'Newton',
  inputs: { hessian: inputArray('the diagonal of the Hessian') },
  rule: ({ g, inputs }) => ({ direction: g.over(inputs.hessian) }),
})

/** The step that would end at a minimum of 0 if the loss were linear. */
const polyak = defineOptimizer({
  ...common,
  name: 'polyak',
  title: 'Polyak',
  inputs: { loss: lossInput },
  rule: ({ g, inputs }) => ({ direction: g.times(inputs.loss).over(g.square().sum()) }),
})

const run = async (optimizer: Parameters<typeof compile>[0]) =>
  train({
    task: bowl,
    optimizer: await compile(optimizer, bowl.parameters),
    seed: 1,
    steps: 3,
    evaluateEvery: 1,
    targets: [],
    test: false,
  })

it('estimates the diagonal of the Hessian, which is exact where the Hessian is diagonal', async () => {
  const optimizer = await compile(newton(), bowl.parameters)
  bowl.initialize(optimizer.parameters as Record<string, Float32Array>, 1)
  await optimizer.minimize(evaluationOf(bowl, { seed: 1, step: 1 }, () => {}))
  for (const [index, value] of [...optimizer.inputs.hessian!.x!].entries())
    expect(value).toBeCloseTo(curvatures[index]!, 3)
  const { curve, outcome } = await run(newton())
  expect(outcome).toBe('finished')
  expect(curve.validation[0]).toBeLessThan(1e-6)
})

it('gives the loss, and reports the loss at the parameters', async () => {
  const { curve } = await run(polyak())
  expect(curve.loss[0]).toBe(4.25)
  expect(curve.validation.at(-1)).toBeLessThan(2)
})

it('measures the cost of optimizers with inputs', async () => {
  const optimizers = new Map([['newton', await compile(newton({ learningRate: 0.1 }), bowl.parameters)]])
  const { step, gradient } = await measureCosts({ task: bowl, optimizers, trainingSeed: 1, seed: 1 })
  expect(step.newton!.every((cost) => cost > 0)).toBe(true)
  expect(gradient.every((cost) => cost > 0)).toBe(true)
})

it('says which input no task gives', async () => {
  const odd = defineOptimizer({
    ...common,
    name: 'odd',
    title: 'Odd',
    inputs: { weather: inputNumber('the weather') },
    rule: ({ g, inputs }) => ({ direction: g.times(inputs.weather) }),
  })
  const { outcome, message } = await run(odd())
  expect(outcome).toBe('failed')
  expect(message).toContain("tasks do not give the input 'weather'")
})

it('estimates the diagonal with signs of both kinds, not with -1 alone as pytorch_optimizer draws them', async () => {
  const hessian = [
    [2, 1],
    [1, 3],
  ]
  const tilted = defineTask({
    ...bowl,
    name: 'tilted',
    parameters: { x: [2] },
    initialize: () => undefined,
    gradient(parameters, gradients) {
      gradients.x!.set(hessian.map((row) => row[0]! * parameters.x![0]! + row[1]! * parameters.x![1]!))
      return 0
    },
  })
  const parameters = { x: Float32Array.of(1, -1) }
  const estimates: number[][] = []
  for (let step = 1; step <= 400; step++) {
    const inputs = { hessianDiagonal: { x: new Float32Array(2) } }
    const evaluate = evaluationOf(tilted, { seed: 1, step }, () => undefined)
    const gradients = { x: new Float32Array(2) }
    const wants = new Set(['hessianDiagonal'])
    await evaluate({ parameters, gradients, inputs, wants, evaluation: 0, evaluations: 1 })
    estimates.push([...inputs.hessianDiagonal.x])
  }
  // With signs that agree the off-diagonal 1 is added, else subtracted: its mean is within 4 standard errors of 0.
  for (const i of [0, 1]) {
    const values = estimates.map((estimate) => estimate[i]! - hessian[i]![i]!)
    expect(new Set(values.map((value) => Math.round(value)))).toEqual(new Set([-1, 1]))
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / 400)).toBeLessThan(4 / Math.sqrt(400))
  }
})
