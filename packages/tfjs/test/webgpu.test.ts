/** Fallline's kernels inside TensorFlow.js's webgpu backend. */

import * as tf from '@tensorflow/tfjs-core'
import {
  compile,
  adamW as coreAdamW,
  adan as coreAdan,
  cosine,
  groups,
  type Optimizer,
  quantized,
  sharpnessAware,
} from 'fallline'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { everything, metByAll } from '../../core/test/support/sample.ts'
import { freeVectors } from '../../core/test/support/tolerances.ts'
import { make } from '../../core/test/support/variants.ts'
import { adamW, parameterAverage, prodigy, sgd, type TensorFlowOptimizer, toTensorFlow } from '../src/index.ts'
import { check, checkPoints, shapes, steps } from './support/agreement.ts'
import { fit, makeModel } from './support/models.ts'
import { looking, usable } from './support/tensorflow.ts'
import { deviceOfBackend, hasWebgpu, startWebgpu } from './support/webgpu.ts'

/** Float32 sums beside float64 sums of the core. */
const tolerance = 2e-4

const values = async (tensor: tf.Tensor) => [...(await tensor.data<'float32'>())]

const variableOf = (given: number[], name?: string) =>
  tf.tidy(() => tf.keep(tf.variable(tf.tensor1d(given), true, name)))

/** Steps with a gradient that the device computes in a command that was not submitted yet: 2 x. */
function step(optimizer: TensorFlowOptimizer, variables: readonly tf.Variable[]): void {
  tf.tidy(() => optimizer.applyGradients(Object.fromEntries(variables.map((x) => [x.name, tf.mul(x, 2)]))))
}

describe.runIf(hasWebgpu)('on the backend webgpu', () => {
  beforeAll(startWebgpu)
  afterEach(() => tf.disposeVariables())

  // A driver in software is slow to compile, so that the sample is small, and few meet every class of shape, as in the core they do.
  const { weight, bias } = shapes
  const chosen = usable.filter(({ definition }) => everything || ['adamW', 'prodigy'].includes(definition.name))
  it.each(chosen.map((factory) => [factory.definition.name, factory] as const))(
    '%s takes the steps of the core',
    async (name, factory) => {
      await check(make(factory), 'webgpu', {
        tolerance: freeVectors[name] ?? tolerance,
        operations: name === 'adamW',
        given: metByAll.includes(name) ? shapes : { weight, bias },
      })
    },
  )

  it('groups and schedules take the steps of the core', async () => {
    const rule = groups(coreAdan({ learningRate: cosine({ from: 0.1, to: 0, steps }) }), [
      { match: 'bias*', hyper: { weightDecay: 0.1 } },
      { match: /scale/, frozen: true },
      { match: ({ rank }) => rank === 2, optimizer: coreAdamW() },
    ])
    await check(rule, 'webgpu', { tolerance, operations: false })
  })

  const points: readonly (readonly [string, Optimizer])[] = everything
    ? looking
    : [['sharpnessAware', sharpnessAware(coreAdamW())]]
  it.each(points)('the model is asked where the core asks it: %s', async (_, optimizer) => {
    await checkPoints(optimizer, 'webgpu', { tolerance, operations: false })
  })

  it('state in fewer bits goes on from its weights as if nothing had been', async () => {
    const rule = quantized(coreAdamW({ learningRate: 0.01 }), { bits: 8 })
    const size = 5000
    const gradient = (number: number) => Float32Array.from({ length: size }, (_, index) => Math.sin(index * number))
    const expected = await compile(rule, { 'variable 0': [size] })
    const take = (optimizer: TensorFlowOptimizer, { name }: tf.Variable, number: number) =>
      tf.tidy(() => optimizer.applyGradients({ [name]: tf.tensor1d(gradient(number)) }))
    const variable = variableOf(Array(size).fill(0))
    const [first, second] = [toTensorFlow(rule), toTensorFlow(rule)]
    for (let number = 1; number <= 4; number++) {
      if (number === 4) await second.setWeights(await first.getWeights())
      take(number === 4 ? second : first, variable, number)
      expected.step({ gradients: { 'variable 0': gradient(number) } })
    }
    expect([first.execution, second.execution]).toEqual(['webgpu', 'webgpu'])
    const found = await values(variable)
    // A code may be the next one where rounding decides.
    const apart = expected.parameters['variable 0'].map((value, index) => Math.abs(value - found[index]!))
    expect(Math.max(...apart)).toBeLessThan(1e-3)
    expect(apart.filter((difference) => difference > 1e-6).length).toBeLessThan(size / 100)
    for (const optimizer of [first, second]) optimizer.dispose()
  })

  it('what shares data with a variable keeps its values, and what was read of it is read again', async () => {
    const device = deviceOfBackend()
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    const buffer = device.createBuffer({ size: 16, usage })
    device.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4))
    const own = tf.variable(tf.tensor({ buffer, zeroCopy: true }, [4]))
    const source = tf.tensor1d([1, 2, 3, 4])
    const [variable, twin] = [tf.variable(source), tf.variable(source)]
    const view = tf.reshape(variable, [2, 2])
    const optimizer = sgd({ learningRate: 0.25, momentum: 0 })
    for (let count = 1; count <= 2; count++) {
      step(optimizer, [variable, own])
      const expected = [1, 2, 3, 4].map((x) => x / 2 ** count)
      expect(await values(variable)).toEqual(expected)
      expect(await values(own)).toEqual(expected)
    }
    // Its own data is the gradient.
    optimizer.applyGradients({ [variable.name]: variable })
    expect(await values(variable)).toEqual([1, 2, 3, 4].map((x) => x * 0.1875))
    for (const tensor of [source, twin, view]) expect(await values(tensor)).toEqual([1, 2, 3, 4])
    expect(await values(tf.tensor({ buffer }, [4]))).toEqual([1, 2, 3, 4])
    optimizer.dispose()
  })

  it('variables come and go, and the state of the others stays on the device', async () => {
    const [here, alone] = [prodigy(), prodigy()]
    const [gone, x, y] = [variableOf([1, 1]), variableOf([2, 3]), variableOf([2, 3])]
    for (const variable of [gone, x]) for (let count = 0; count < 2; count++) step(here, [variable])
    const other = variableOf([1, 1])
    for (const variable of [other, y]) for (let count = 0; count < 2; count++) step(alone, [variable])
    gone.dispose()
    for (let count = 0; count < 3; count++) {
      step(here, [x])
      step(alone, [y])
      expect(await values(x)).toEqual(await values(y))
    }
    for (const optimizer of [here, alone]) optimizer.dispose()
  })

  it('all that it holds is counted, freed, and does not grow', async () => {
    const x = variableOf(Array(1000).fill(1))
    const before = tf.memory()
    const optimizer = parameterAverage(adamW({ learningRate: 0.1 }, { telemetry: true }))
    step(optimizer, [x])
    const { numTensors, numBytes } = tf.memory()
    expect(numBytes - before.numBytes).toBeGreaterThanOrEqual(3 * 4000)
    for (let count = 0; count < 20; count++) step(optimizer, [x])
    expect(tf.memory()).toMatchObject({ numTensors, numBytes })
    const { gradientNorm, parameterNorm } = (await optimizer.telemetry())[x.name]!
    expect([gradientNorm, parameterNorm].every((norm) => norm > 0)).toBe(true)
    const trained = await values(x)
    await optimizer.withEvaluationParameters(async () => expect((await values(x))[0]).toBeGreaterThan(trained[0]!))
    expect(await values(x)).toEqual(trained)
    optimizer.dispose()
    expect(tf.memory()).toMatchObject({ numTensors: before.numTensors, numBytes: before.numBytes })
  })

  it('a model trains as on another backend', async () => {
    const losses: number[][] = []
    for (const backend of ['wasm', 'webgpu']) {
      await tf.setBackend(backend)
      const model = makeModel()
      const optimizer = adamW({ learningRate: 0.01 })
      model.compile({ optimizer, loss: 'categoricalCrossentropy' })
      losses.push(await fit(model, 2))
      expect(optimizer.execution).toBe(backend)
      optimizer.dispose()
      model.dispose()
    }
    losses[0]!.forEach((loss, epoch) => void expect(losses[1]![epoch]).toBeCloseTo(loss, 4))
  })

  it('operations do the work where the device has too little room, with a word', async () => {
    const backend = tf.backend() as unknown as { device: GPUDevice }
    const { device } = backend
    const limits = { maxBufferSize: 256, maxStorageBufferBindingSize: 256, maxComputeWorkgroupsPerDimension: 65535 }
    const said = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const x = variableOf(Array(100).fill(1))
    const optimizer = adamW()
    try {
      backend.device = new Proxy(device, {
        get(target, key) {
          const value = key === 'limits' ? limits : Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      optimizer.applyGradients({ [x.name]: tf.ones([100]) })
    } finally {
      backend.device = device
    }
    expect(optimizer.execution).toBe('operations')
    expect(said.mock.calls.flat().join()).toContain('no fused kernel on the webgpu backend, operations do the work')
    said.mockRestore()
    optimizer.dispose()
  })
})
