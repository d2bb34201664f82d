import { describe, expect, it } from 'vitest'
import { defineJaxTask, type HostArray } from '../../src/jax.ts'
import { initial, zeros } from './arrays.ts'

// jax-js keeps its arrays in one WebAssembly memory, made when it is first loaded: there a leak shows.
const memories: WebAssembly.Memory[] = []
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(descriptor: WebAssembly.MemoryDescriptor) {
    super(descriptor)
    memories.push(this)
  }
}

const inputs = 40
const rows = 30

/**
 * Linear regression on data that follows from the seed and step; the optional third entry of `parameters` is never used
 * by the loss.
 */
function regression(changes: Partial<Parameters<typeof defineJaxTask>[0]> = {}) {
  const batch = (seed: number, step: number): { x: HostArray; y: HostArray } => ({
    x: {
      values: Float32Array.from({ length: rows * inputs }, (_, i) => Math.sin(seed + 7 * step + i)),
      shape: [rows, inputs],
    },
    y: { values: Float32Array.from({ length: rows }, (_, i) => Math.cos(seed + step + i)), shape: [rows] },
  })
  return defineJaxTask({
    name: 'regression',
    title: 'Regression',
    description: 'Linear regression.',
    parameters: { weight: [inputs], bias: [], unused: [3] },
    initialize(parameters, seed) {
      parameters.weight!.forEach((_, index, values) => {
        values[index] = 0.1 * Math.sin(seed * 3 + index)
      })
      parameters.bias![0] = 0.5
    },
    loss: ({ weight, bias }, { x, y }, { numpy }) => numpy.mean(numpy.square(numpy.matmul(x, weight).add(bias).sub(y))),
    batch,
    evaluation: (split) => (split === 'test' ? [batch(0, 0), batch(0, 1)] : [batch(0, 2)]),
    metricName: 'squared error',
    direction: 'minimize',
    targets: [1],
    budget: { steps: 100, evaluateEvery: 10 },
    ...(changes as object),
  })
}

describe('defineJaxTask', () => {
  it('leaves jax-js alone until a gradient or metric is asked for', async () => {
    const task = regression()
    expect(memories).toHaveLength(0)
    await task.metric(initial(task, 1), 'test')
    expect(memories.length).toBeGreaterThan(0)
  })

  it('gives the loss and the gradient that a loop in float64 gives', async () => {
    const task = regression()
    const parameters = initial(task, 2)
    const gradients = zeros(task)
    for (const values of Object.values(gradients)) values.fill(7)
    const loss = await task.gradient(parameters, gradients, { seed: 1, step: 5 })

    const slope = { weight: new Float64Array(inputs), bias: 0 }
    let expected = 0
    for (let row = 0; row < rows; row++) {
      const x = (column: number) => Math.fround(Math.sin(1 + 35 + row * inputs + column))
      let error = parameters.bias![0]! - Math.fround(Math.cos(1 + 5 + row))
      for (let column = 0; column < inputs; column++) error += x(column) * parameters.weight![column]!
      expected += error ** 2 / rows
      slope.bias += (2 * error) / rows
      for (let column = 0; column < inputs; column++) slope.weight[column]! += (2 * error * x(column)) / rows
    }
    expect(loss).toBeCloseTo(expected, 5)
    expect(gradients.bias![0]).toBeCloseTo(slope.bias, 5)
    gradients.weight!.forEach((value, index) => {
      expect(value).toBeCloseTo(slope.weight[index]!, 5)
    })
    expect([...gradients.unused!]).toEqual([0, 0, 0])
  })

  it('takes the loss as metric, averaged over the batches of a split, or a metric of its own', async () => {
    const task = regression()
    const parameters = initial(task, 2)
    const gradients = zeros(task)
    const losses = [
      await task.gradient(parameters, gradients, { seed: 0, step: 0 }),
      await task.gradient(parameters, gradients, { seed: 0, step: 1 }),
    ]
    expect(await task.metric(parameters, 'test')).toBeCloseTo((losses[0]! + losses[1]!) / 2, 6)
    expect(await task.metric(parameters, 'validation')).toBeCloseTo(
      await task.gradient(parameters, gradients, { seed: 0, step: 2 }),
      6,
    )

    const own = regression({ metric: ({ bias }: never) => (bias as { mul(factor: number): never }).mul(10) } as never)
    expect(await own.metric(parameters, 'test')).toBeCloseTo(5, 6)
  })

  it('frees everything it makes: the memory of jax-js does not grow over 1,000 steps', async () => {
    const task = regression()
    const parameters = initial(task, 1)
    const gradients = zeros(task)
    const run = async (from: number, to: number) => {
      for (let step = from; step < to; step++) {
        await task.gradient(parameters, gradients, { seed: 1, step })
        if (step % 10 === 0) await task.metric(parameters, 'validation')
      }
    }
    await run(0, 50)
    const bytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
    const before = bytes()
    expect(before).toBeGreaterThan(0)
    await run(50, 1050)
    expect(bytes()).toBe(before)
  })

  it('works again after dispose', async () => {
    const task = regression()
    const parameters = initial(task, 1)
    const loss = await task.gradient(parameters, zeros(task), { seed: 1, step: 1 })
    task.dispose!()
    task.dispose!()
    expect(await task.gradient(parameters, zeros(task), { seed: 1, step: 1 })).toBe(loss)
  })

  it('names the task when the loss fails, and explains arrays used up', async () => {
    const parameters = initial(regression(), 1)
    const reuse = regression({
      loss: ({ bias }: never) => (bias as { mul(other: unknown): { mul(other: unknown): never } }).mul(bias).mul(bias),
    } as never)
    await expect(reuse.gradient(parameters, zeros(reuse), { seed: 1, step: 1 })).rejects.toThrow(
      /the loss of task 'regression' failed: .*write x\.ref/s,
    )
    const vector = regression({ loss: ({ weight }: never) => weight } as never)
    await expect(vector.gradient(parameters, zeros(vector), { seed: 1, step: 1 })).rejects.toThrow(
      "the loss of task 'regression' failed",
    )
    const thrown = regression({
      metric: () => {
        throw new Error('no metric today')
      },
    } as never)
    await expect(thrown.metric(parameters, 'test')).rejects.toThrow(
      "the metric of task 'regression' failed: no metric today",
    )
  })

  it('explains batches that do not fit their shape, and missing fields', async () => {
    const wrong = regression({ batch: () => ({ x: { values: new Float32Array(5), shape: [2, 3] } }) } as never)
    await expect(wrong.gradient(initial(wrong, 1), zeros(wrong), { seed: 1, step: 1 })).rejects.toThrow(
      "batch array 'x' of task 'regression' has 5 values, but its shape [2, 3] holds 6",
    )
    const empty = regression({ evaluation: () => [] } as never)
    await expect(empty.metric(initial(empty, 1), 'test')).rejects.toThrow(
      "evaluation('test') of task 'regression' gave no batches",
    )
    expect(() => regression({ evaluation: undefined } as never)).toThrow(
      "field 'evaluation' of jax task 'regression' is missing; it must be a function",
    )
    expect(() => regression({ targets: [1, 2] } as never)).toThrow("field 'targets' of task 'regression'")
  })
})
