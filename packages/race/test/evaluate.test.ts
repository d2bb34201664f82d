import {
  adaFisher,
  compile,
  defineOptimizer,
  inputArray,
  inputNumber,
  logUniform,
  lossInput,
  nonNegative,
  sgd,
  uDoG,
  zoRankSGD,
} from 'fallline'
import { expect, it } from 'vitest'
import { defineTask, type Task } from '../src/index.ts'
import { measureCosts } from '../src/training/cost.ts'
import { gradientsPerStep } from '../src/training/cost-of-a-step.ts'
import { evaluationOf, MissingInputError } from '../src/training/evaluate.ts'
import { advance, beginning, gradientsToTargets } from '../src/training/training.ts'

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

const odd = defineOptimizer({
  ...common,
  name: 'odd',
  title: 'Odd',
  inputs: { weather: inputNumber('the weather') },
  rule: ({ g, inputs }) => ({ direction: g.times(inputs.weather) }),
})

/** The bowl, which also gives its loss alone. */
const bowlWithLoss = defineTask({ ...bowl, loss: (parameters) => bowl.metric(parameters, 'validation') })

const run = async (optimizer: Parameters<typeof compile>[0], task = bowl, nonFinite: 'stop' | 'skip' = 'stop') => {
  const state = beginning()
  const compiled = await compile(optimizer, task.parameters, { nonFinite: 'skip' })
  await advance({ task, optimizer: compiled, seed: 1, steps: 3, evaluateEvery: 1, nonFinite }, state)
  compiled.dispose()
  return state
}

it('estimates the diagonal of the Hessian, which is exact where the Hessian is diagonal', async () => {
  const optimizer = await compile(newton(), bowl.parameters)
  bowl.initialize(optimizer.parameters as Record<string, Float32Array>, 1)
  await optimizer.minimize(evaluationOf(bowl, { seed: 1, step: 1 }, {}))
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

it('tells what every evaluation gave and cost', async () => {
  const told = async (optimizer: Parameters<typeof compile>[0], task = bowl) => {
    const compiled = await compile(optimizer, task.parameters)
    task.initialize(compiled.parameters as Record<string, Float32Array>, 1)
    const losses: [evaluation: number, loss: number][] = []
    const costs: number[] = []
    const observer = {
      onLoss: (loss: number, evaluation: number) => losses.push([evaluation, loss]),
      onCost: (gradients: number) => costs.push(gradients),
    }
    await compiled.minimize(evaluationOf(task, { seed: 1, step: 1 }, observer))
    compiled.dispose()
    return { losses, costs }
  }
  expect(await told(sgd())).toEqual({ losses: [[0, 4.25]], costs: [1] })
  // A gradient, and two more for the diagonal of the Hessian.
  expect(await told(newton())).toEqual({ losses: [[0, 4.25]], costs: [1, 2] })
  const lookingAhead = await told(uDoG())
  expect(lookingAhead.costs).toEqual([1, 1])
  expect(lookingAhead.losses.map(([evaluation]) => evaluation)).toEqual([0, 1])
  expect((await told(zoRankSGD())).costs).toEqual(Array(8).fill(1))
  const cheap = await told(zoRankSGD(), bowlWithLoss)
  expect(cheap.costs).toEqual(Array(8).fill(1 / 3))
  expect(cheap.losses).toEqual((await told(zoRankSGD())).losses)
})

it('counts the gradients of a step without a gradient of the task', async () => {
  let calls = 0
  const counted = defineTask({
    ...bowl,
    gradient(...given) {
      calls++
      return bowl.gradient(...given)
    },
  })
  expect(await gradientsPerStep(sgd(), counted)).toBe(1)
  expect(await gradientsPerStep(newton(), counted)).toBe(3)
  expect(await gradientsPerStep(uDoG(), counted)).toBe(2)
  expect(await gradientsPerStep(zoRankSGD(), counted)).toBe(8)
  expect(await gradientsPerStep(zoRankSGD(), { ...counted, loss: bowlWithLoss.loss! })).toBeCloseTo(8 / 3, 9)
  expect(calls).toBe(0)
  await expect(gradientsPerStep(odd(), counted)).rejects.toThrow(MissingInputError)
})

it('evaluates by gradients, not by steps, and at the end', async () => {
  const state = beginning()
  const optimizer = await compile(uDoG(), bowl.parameters, { nonFinite: 'skip' })
  await advance({ task: bowl, optimizer, seed: 1, steps: 7, evaluateEvery: 3, nonFinite: 'stop' }, state)
  optimizer.dispose()
  expect(state).toMatchObject({ outcome: 'finished', step: 7, gradients: 14 })
  expect(state.curve.step).toEqual([2, 3, 5, 6, 7])
  expect(state.curve.gradients).toEqual([4, 6, 10, 12, 14])
})

it('ends a run whose numbers are not finite, or leaves such steps out and counts them', async () => {
  const torn = defineTask({
    ...bowl,
    gradient(parameters, gradients, batch) {
      const loss = bowl.gradient(parameters, gradients, batch)
      if (batch.step === 2) gradients.x![1] = Number.NaN
      return loss
    },
  })
  const sure = sgd({ learningRate: 0.01 })
  const stopped = await run(sure, torn)
  expect(stopped).toMatchObject({ outcome: 'diverged', step: 1, message: 'the gradient of x was not finite at step 2' })
  expect(gradientsToTargets(stopped, [100], 'minimize')).toEqual([null])
  const { outcome, skipped, step, gradients, curve } = await run(sure, torn, 'skip')
  expect({ outcome, skipped, step, gradients }).toEqual({ outcome: 'finished', skipped: 1, step: 3, gradients: 3 })
  expect(curve.validation[1]).toBe(curve.validation[0])
  expect(curve.validation[2]).toBeLessThan(curve.validation[1]!)
  const unbounded = defineTask({ ...bowl, gradient: () => Infinity })
  expect((await run(sure, unbounded)).message).toBe('the loss was Infinity at step 1')
  const lost = defineTask({ ...bowl, metric: () => Number.NaN })
  expect((await run(sure, lost, 'skip')).message).toBe('the validation metric was NaN at step 1')
})

it('keeps where an error was thrown', async () => {
  const broken = defineTask({
    ...bowl,
    gradient() {
      throw new Error('no more data')
    },
  })
  const { outcome, message, stack } = await run(sgd(), broken)
  expect({ outcome, message }).toEqual({ outcome: 'failed', message: 'no more data' })
  expect(stack).toContain('evaluate.test.ts')
})

it('takes the first evaluation that meets a target', () => {
  const curve = { step: [1, 2, 3], gradients: [2, 4, 6], loss: [1, 1, 1], validation: [3, 1, 2] }
  expect(gradientsToTargets({ outcome: 'finished', curve }, [3, 2, 0.5], 'minimize')).toEqual([2, 4, null])
  expect(gradientsToTargets({ outcome: 'finished', curve }, [1, 3, 4], 'maximize')).toEqual([2, 2, null])
  expect(gradientsToTargets({ outcome: 'failed', curve }, [3], 'minimize')).toEqual([null])
})

it('measures the cost of optimizers with inputs', async () => {
  const optimizers = new Map([['newton', await compile(newton({ learningRate: 0.1 }), bowl.parameters)]])
  const { step, gradient } = await measureCosts({ task: bowl, optimizers, trainingSeed: 1, seed: 1 })
  expect(step.newton!.every((cost) => cost > 0)).toBe(true)
  expect(gradient.every((cost) => cost > 0)).toBe(true)
})

it('says which input no task gives', async () => {
  const { outcome, message } = await run(odd())
  expect(outcome).toBe('failed')
  expect(message).toContain("tasks do not give the input 'weather'")
})

it('has the task write the statistics of layers that it knows, and says which it does not', async () => {
  const known = defineTask({
    ...bowl,
    parameters: { x: [1, 3] },
    statistics: ['activationSquares'],
    gradient(parameters, gradients, batch, statistics) {
      statistics?.activationSquares?.x?.set([1, 2, 3])
      return bowl.gradient(parameters, gradients, batch)
    },
  })
  const told: number[][] = []
  const optimizer = await compile(adaFisher(), known.parameters)
  const evaluate = (task: Task) =>
    optimizer.minimize((request) => {
      told.push([...request.inputs.activationSquares!.x!])
      const found = evaluationOf(task, { seed: 1, step: 1 }, {})(request)
      told.push([...request.inputs.activationSquares!.x!])
      return found
    })
  await expect(evaluate(known)).rejects.toThrow("the task 'bowl' does not give the input 'outputGradientSquares'")
  expect(told).toEqual([
    [Number.NaN, Number.NaN, Number.NaN],
    [1, 2, 3],
  ])
})

/** What `tilted` has everywhere. */
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

it('estimates the diagonal with signs of both kinds, not with -1 alone as pytorch_optimizer draws them', async () => {
  const parameters = { x: Float32Array.of(1, -1) }
  const estimates: number[][] = []
  for (let step = 1; step <= 400; step++) {
    const inputs = { hessianDiagonal: { x: new Float32Array(2) } }
    const evaluate = evaluationOf(tilted, { seed: 1, step }, {})
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

it('gives the product of the Hessian with the probe that it gives', async () => {
  const inputs = { probe: { x: new Float32Array(2) }, hessianVectorProduct: { x: new Float32Array(2) } }
  const costs: number[] = []
  const evaluate = evaluationOf(tilted, { seed: 1, step: 1 }, { onCost: (gradients) => costs.push(gradients) })
  const [parameters, gradients] = [{ x: Float32Array.of(1, -1) }, { x: new Float32Array(2) }]
  const wants = new Set(['gradient', 'probe', 'hessianVectorProduct'])
  await evaluate({ parameters, gradients, inputs, wants, evaluation: 0, evaluations: 1 })
  const z = [...inputs.probe.x]
  expect(z.map(Math.abs)).toEqual([1, 1])
  hessian.forEach((row, i) => {
    expect(inputs.hessianVectorProduct.x[i]).toBeCloseTo(row[0]! * z[0]! + row[1]! * z[1]!, 3)
  })
  expect(costs).toEqual([1, 2])
})
