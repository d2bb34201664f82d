import {
  accumulateGradients,
  adam,
  adamW,
  type CompileOptions,
  clipByGlobalNorm,
  compile,
  cosine,
  lookahead,
  type Optimizer,
  parameterAverage,
  prodigy,
  psgdXMat,
  reference,
  type Shapes,
  sgd,
  sharpnessAware,
  wasm,
} from 'fallline'
import { attachBuffers, buffersOf, webgpu } from 'fallline/webgpu'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { hasWebgpu, newDevice, sharedDevice } from '../support/webgpu.ts'

const shapes = { weight: [3, 4], bias: [4] }

async function there(optimizer: Optimizer, options: CompileOptions = {}, model: Shapes = shapes) {
  return compile(optimizer, model, { ...options, backend: webgpu({ device: await sharedDevice() }) })
}

/** The same optimizer on WebGPU and on WebAssembly, with the same parameters. */
async function both(optimizer: Optimizer, options: CompileOptions = {}, model: Shapes = shapes) {
  const here = await compile(optimizer, model, { ...options, backend: wasm() })
  const random = randomNumbers(5)
  for (const values of Object.values(here.parameters)) values.set(values.map(random))
  const device = await there(optimizer, options, model)
  device.writeParameters(here.parameters)
  return { here, device }
}

const gradientsOf = (model: Shapes, seed: number) => {
  const random = randomNumbers(seed)
  const make = (shape: readonly number[]) =>
    Float32Array.from({ length: shape.reduce((size, side) => size * side, 1) }, random)
  return Object.fromEntries(Object.entries(model).map(([name, shape]) => [name, make(shape)]))
}

const broken = (value: number) => ({ weight: new Float32Array(12).fill(1), bias: [1, value, 1, 1] })

async function expectClose(
  actual: Promise<Readonly<Record<string, ArrayLike<number>>>>,
  expected: Readonly<Record<string, ArrayLike<number>>>,
) {
  const found = await actual
  expect(Object.keys(found)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(expected)) {
    Array.from(values).forEach((value, index) => {
      expect(found[name]![index]!).toBeCloseTo(value, 5)
    })
  }
}

describe.runIf(hasWebgpu)('steps on WebGPU', () => {
  it.each<[string, Optimizer]>([
    ['schedule and clipping', clipByGlobalNorm(adamW({ learningRate: cosine({ from: 0.1, to: 0, steps: 12 }) }))],
    ['cadences', lookahead(accumulateGradients(adam({ learningRate: 0.1 }), { period: 2 }), { period: 2 })],
    ['an average', parameterAverage(sgd({ learningRate: 0.1, momentum: 0.9 }))],
    ['sums over all tensors', prodigy()],
  ])('are told one after the other without an answer: %s', async (_, optimizer) => {
    const { here, device } = await both(optimizer)
    for (let step = 1; step <= 9; step++) {
      const gradients = gradientsOf(shapes, step)
      expect(device.step({ gradients })).toEqual(here.step({ gradients }))
    }
    expect(await device.settled()).toMatchObject({ step: 9, skipped: false })
    await expectClose(device.readParameters(), here.parameters)
    await expectClose(device.readEvaluationParameters(), here.evaluationParameters())
    device.dispose()
  })

  it('move several parameters as one vector, parts of which are written, read and evaluated', async () => {
    const { here, device } = await both(psgdXMat({ learningRate: 0.1 }))
    for (let step = 1; step <= 3; step++) {
      for (const optimizer of [here, device]) {
        optimizer.step({ gradients: gradientsOf(shapes, step) })
        optimizer.writeParameters({ bias: [1, 2, 3, step] })
        await optimizer.minimize(({ parameters, gradients }) => {
          for (const name of ['weight', 'bias']) gradients[name]!.set(parameters[name]!.map((x) => 2 * x))
          return 1
        })
      }
    }
    await expectClose(device.readParameters(), here.parameters)
    expect(() => buffersOf(device)).toThrow("buffersOf: 'weight' is a part of weight to bias")
    device.dispose()
    const backend = webgpu({ device: await sharedDevice(), attached: true })
    await expect(compile(psgdXMat(), shapes, { backend })).rejects.toThrow(
      'compile: weight to bias are one vector to this optimizer, which cannot lie in several buffers: leave out attached',
    )
  })

  it('leave out parameters without a gradient', async () => {
    const { here, device } = await both(adamW({ learningRate: 0.1 }))
    for (let step = 1; step <= 4; step++) {
      const { weight, bias } = gradientsOf(shapes, step)
      const gradients = step % 2 === 0 ? { weight } : { weight, bias }
      device.step({ gradients })
      here.step({ gradients })
    }
    await expectClose(device.readParameters(), here.parameters)
    device.dispose()
  })

  it('take other hyperparameters without compiling again', async () => {
    const { here, device } = await both(sgd({ learningRate: 0.1 }))
    for (const learningRate of [0.1, 0.01]) {
      for (const optimizer of [here, device]) {
        optimizer.set({ learningRate })
        optimizer.step({ gradients: gradientsOf(shapes, 3) })
      }
    }
    await expectClose(device.readParameters(), here.parameters)
    device.dispose()
  })

  it('evaluate the model at several points', async () => {
    const { here, device } = await both(sharpnessAware(adamW({ learningRate: 0.1 }), { rho: 0.3 }))
    for (let step = 1; step <= 3; step++) {
      for (const optimizer of [here, device]) {
        await optimizer.minimize(({ parameters, gradients }) => {
          for (const name of ['weight', 'bias']) gradients[name]!.set(parameters[name]!.map((x) => 2 * x))
          return 1
        })
      }
    }
    await expectClose(device.readParameters(), here.parameters)
    device.dispose()
  })

  it('go on from a checkpoint, to the bit, and from one of another backend', async () => {
    const optimizer = lookahead(adamW({ learningRate: 0.1 }), { period: 2 })
    const { here, device } = await both(optimizer)
    for (let step = 1; step <= 3; step++) device.step({ gradients: gradientsOf(shapes, step) })
    const saved = await device.saveAsync()
    const other = await there(optimizer)
    other.load(saved)
    here.load(saved)
    for (const each of [device, other, here]) each.step({ gradients: gradientsOf(shapes, 4) })
    expect(await other.saveAsync()).toEqual(await device.saveAsync())
    await expectClose(device.readParameters(), here.parameters)
    device.dispose()
    other.dispose()
  })

  it('are the same to the bit when they are taken again', async () => {
    const model = { large: [300, 70], small: [5] }
    const results = []
    for (let run = 0; run < 2; run++) {
      const { device } = await both(clipByGlobalNorm(adamW({ learningRate: 0.1 }), { maximumNorm: 0.1 }), {}, model)
      for (let step = 1; step <= 3; step++) device.step({ gradients: gradientsOf(model, step) })
      results.push(await device.readParameters())
      device.dispose()
    }
    expect(results[0]).toEqual(results[1])
  })

  it('take gradients that a kernel of the user wrote, without copies', async () => {
    const device = await sharedDevice()
    const { here, device: optimizer } = await both(adamW({ learningRate: 0.1 }))
    const module = device.createShaderModule({
      code: `@group(0) @binding(0) var<storage, read> parameter: array<f32>;
        @group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
        @compute @workgroup_size(16)
        fn main(@builtin(global_invocation_id) id: vec3u) {
          if (id.x < arrayLength(&parameter)) { gradient[id.x] = 2f * parameter[id.x]; }
        }`,
    })
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } })
    for (let step = 1; step <= 3; step++) {
      const encoder = device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      pass.setPipeline(pipeline)
      for (const { parameter, gradient } of Object.values(buffersOf(optimizer))) {
        const resources = [parameter, gradient]
        const entries = resources.map((resource, binding) => ({ binding, resource }))
        pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
        pass.dispatchWorkgroups(1)
      }
      pass.end()
      device.queue.submit([encoder.finish()])
      optimizer.step()
      for (const name of ['weight', 'bias']) here.gradients[name]!.set(here.parameters[name]!.map((x) => 2 * x))
      here.step()
    }
    await optimizer.settled()
    await expectClose(optimizer.readParameters(), here.parameters)
    optimizer.dispose()
    expect(() => buffersOf(optimizer)).toThrow('buffersOf: this optimizer has been disposed')
    expect(() => buffersOf(here)).toThrow('buffersOf: this optimizer was not compiled with webgpu()')
  })

  it('report telemetry when they are settled', async () => {
    const { here, device } = await both(adamW({ learningRate: 0.1 }), { telemetry: true })
    for (let step = 1; step <= 2; step++) {
      const gradients = gradientsOf(shapes, step)
      const { telemetry } = here.step({ gradients })
      expect(device.step({ gradients })).not.toHaveProperty('telemetry')
      const reported = (await device.settled()).telemetry!
      for (const name of ['weight', 'bias']) {
        for (const [key, value] of Object.entries(telemetry![name]!)) {
          expect(reported[name]![key as 'gradientNorm']).toBeCloseTo(value, 5)
        }
      }
    }
    device.dispose()
  })
})

describe.runIf(hasWebgpu)('buffers of the user', () => {
  const storage = 128 + 8 + 4
  const model = { weight: [40, 120], bias: [120], none: [0, 3] }

  /** Parameters and gradients in one buffer each, but for the bias, whose gradient has two buffers by turns. */
  async function attached(optimizer: Optimizer, options: CompileOptions = {}) {
    const device = await sharedDevice()
    const make = (elements: number) => device.createBuffer({ size: 4 * elements, usage: storage })
    const [weight, bias, gradient] = [make(5000), make(120), make(4800)]
    const turns = [make(120), make(120)] as const
    const backend = webgpu({ device, attached: true })
    const compiled = await compile(optimizer, model, { ...options, backend })
    const write = (buffer: GPUBuffer, values: ArrayLike<number>, offset = 0) =>
      device.queue.writeBuffer(buffer, offset, Float32Array.from(values))
    attachBuffers(compiled, {
      parameters: { weight: { buffer: weight, offset: 256, size: 4 * 4800 }, bias },
      gradients: { weight: gradient },
    })
    return { compiled, weight, bias, gradient, turns, write }
  }

  it.each<[string, Optimizer]>([
    ['one kernel', adamW({ learningRate: 0.1 })],
    ['sums over all parameters, and an average', parameterAverage(clipByGlobalNorm(sgd({ learningRate: 0.1 })))],
    ['copies of parameters', lookahead(sgd({ learningRate: 0.1 }), { period: 2 })],
  ])('are read and written in place: %s', async (_, optimizer) => {
    const here = await compile(optimizer, model, { backend: reference() })
    const { compiled, weight, bias, gradient, turns, write } = await attached(optimizer, { telemetry: true })
    expect(() => compiled.step()).toThrow("webgpu: the gradient of 'bias' lies nowhere yet: attach a buffer")
    const start = gradientsOf(model, 9)
    write(weight, start.weight!, 256)
    write(bias, start.bias!)
    for (const name of ['weight', 'bias'] as const) here.parameters[name].set(start[name]!)
    for (let step = 1; step <= 4; step++) {
      const gradients = gradientsOf(model, step)
      const turn = turns[step % 2]!
      write(gradient, gradients.weight!)
      write(turn, gradients.bias!)
      attachBuffers(compiled, { gradients: { bias: turn } })
      compiled.step()
      here.step({ gradients })
      await compiled.settled()
    }
    await expectClose(compiled.readParameters(), here.parameters)
    await expectClose(compiled.readEvaluationParameters(), here.evaluationParameters())
    expect(buffersOf(compiled).weight.parameter).toEqual({ buffer: weight, offset: 256, size: 4 * 4800 })
    const saved = await compiled.saveAsync()
    compiled.writeParameters({ bias: new Float32Array(120) })
    compiled.load(saved)
    here.load(saved)
    await expectClose(compiled.readParameters(), here.parameters)
    compiled.dispose()
    // They stay the user's.
    write(weight, [1], 256)
  })

  it('are where the model is evaluated, and gradients may lie in others at every evaluation', async () => {
    const optimizer = sharpnessAware(adamW({ learningRate: 0.1 }), { rho: 0.3 })
    const here = await compile(optimizer, model, { backend: reference() })
    const { compiled, weight, bias, gradient, turns, write } = await attached(optimizer)
    const device = await sharedDevice()
    const start = gradientsOf(model, 9)
    write(weight, start.weight!, 256)
    write(bias, start.bias!)
    for (const name of ['weight', 'bias'] as const) here.parameters[name].set(start[name]!)
    for (let step = 1; step <= 2; step++) {
      await here.minimize(({ parameters, gradients }) => {
        for (const name of ['weight', 'bias'] as const) gradients[name].set(parameters[name])
        return 1
      })
      // The gradient of half the square is the parameter.
      await compiled.minimize((request) => {
        expect(() => request.gradients.bias).toThrow('use the buffers that you attached')
        expect(() => attachBuffers(compiled, { parameters: { bias } })).toThrow('minimize is waiting')
        const turn = turns[request.evaluation % 2]!
        const encoder = device.createCommandEncoder()
        encoder.copyBufferToBuffer(weight, 256, gradient, 0, 4 * 4800)
        encoder.copyBufferToBuffer(bias, 0, turn, 0, 480)
        device.queue.submit([encoder.finish()])
        attachBuffers(compiled, { gradients: { bias: turn } })
        return 1
      })
    }
    await expectClose(compiled.readParameters(), here.parameters)
    compiled.dispose()
  })

  it('are left as they are by a step whose gradient is not finite', async () => {
    const { compiled, gradient, turns, write } = await attached(adamW({ learningRate: 0.1 }))
    attachBuffers(compiled, { gradients: { bias: turns[0] } })
    const before = await compiled.saveAsync()
    write(gradient, new Float32Array(4800))
    write(turns[0], new Float32Array(120).fill(Number.NaN))
    compiled.step()
    await expect(compiled.settled()).rejects.toThrow("step 1: the gradient of 'bias' is not finite")
    expect(await compiled.saveAsync()).toEqual(before)
    compiled.dispose()
  })

  it('are refused where they do not fit', async () => {
    const device = await sharedDevice()
    expect(() => webgpu({ attached: true })).toThrow('webgpu: attached needs { device } too')
    const { compiled, bias, turns, weight } = await attached(adamW())
    const attach = (buffers: object) => () => attachBuffers(compiled, buffers)
    expect(attach({ gradients: { bias } })).toThrow(
      "attachBuffers: the parameter 'bias' and the gradient of 'bias' are given the same memory; each needs a part of its own",
    )
    expect(attach({ parameters: { weight: turns[0] } })).toThrow(
      "attachBuffers: the buffer of 'weight' must have 19200 bytes for the shape [40, 120], not 480",
    )
    expect(attach({ gradients: { bias: { buffer: weight, offset: 16, size: 480 } } })).toThrow(
      "attachBuffers: the buffer of 'bias' must begin at a multiple of 256 bytes, not at 16",
    )
    const readable = device.createBuffer({ size: 480, usage: 128 })
    expect(attach({ gradients: { bias: readable } })).toThrow(
      "attachBuffers: the buffer of 'bias' must have the usages STORAGE, COPY_SRC and COPY_DST",
    )
    expect(attach({ gradients: { bis: readable } })).toThrow("'bias'")
    expect(attach({ states: {} })).toThrow("attachBuffers: unknown option 'states'")
    const own = await there(adamW())
    expect(() => attachBuffers(own, { parameters: { bias } })).toThrow(
      'compile with webgpu({ device, attached: true })',
    )
    expect(() => attachBuffers(compiled, {})).not.toThrow()
    for (const each of [compiled, own]) each.dispose()
    expect(() => attachBuffers(compiled, {})).toThrow('attachBuffers: this optimizer has been disposed')
  })
})

describe.runIf(hasWebgpu)('a gradient that is not finite, on WebGPU', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'throw: neither that step nor those after it are taken: %d',
    async (value) => {
      const { here, device } = await both(accumulateGradients(adam({ learningRate: 0.1 }), { period: 2 }))
      const good = (step: number) => gradientsOf(shapes, step)
      for (const step of [1, 2, 3]) for (const each of [here, device]) each.step({ gradients: good(step) })
      const saved = await device.saveAsync()
      device.step({ gradients: broken(value) })
      for (const step of [5, 6]) device.step({ gradients: good(step) })
      await expect(device.settled()).rejects.toThrow(
        "step 4: the gradient of 'bias' is not finite; parameters and state are unchanged; the 2 steps after it were not taken either",
      )
      expect(device.steps).toBe(3)
      expect(await device.saveAsync()).toEqual(saved)
      for (const each of [here, device]) each.step({ gradients: good(4) })
      await expectClose(device.readParameters(), here.parameters)
      device.dispose()
    },
  )

  it('skip: the next step counts as if there had been none', async () => {
    const { here, device } = await both(adam({ learningRate: 0.1 }), { nonFinite: 'skip' })
    for (const step of [1, 2, 3, 4, 5]) {
      const gradients = step % 2 === 0 ? broken(Number.NaN) : gradientsOf(shapes, step)
      device.step({ gradients })
      expect(await device.settled()).toEqual(here.step({ gradients }))
    }
    expect([device.steps, device.skipped]).toEqual([3, 2])
    await expectClose(device.readParameters(), here.parameters)
    device.dispose()
  })

  it('allow: is taken', async () => {
    const { device } = await both(sgd({ learningRate: 0.1 }), { nonFinite: 'allow' })
    device.step({ gradients: broken(Number.NaN) })
    expect((await device.readParameters()).bias![1]).toBeNaN()
    device.dispose()
  })
})

describe.runIf(hasWebgpu)('a device', () => {
  /** Counts what is asked of a device. */
  function counted(device: GPUDevice) {
    const counts = { submits: 0, dispatches: 0, buffers: 0 }
    const submit = device.queue.submit.bind(device.queue)
    const createBuffer = device.createBuffer.bind(device)
    const createCommandEncoder = device.createCommandEncoder.bind(device)
    device.queue.submit = (...given) => {
      counts.submits++
      return submit(...given)
    }
    device.createBuffer = (given) => {
      counts.buffers++
      const buffer = createBuffer(given)
      const destroy = buffer.destroy.bind(buffer)
      buffer.destroy = () => {
        counts.buffers--
        return destroy()
      }
      return buffer
    }
    device.createCommandEncoder = () => {
      const encoder = createCommandEncoder()
      const begin = encoder.beginComputePass.bind(encoder)
      encoder.beginComputePass = () => {
        const pass = begin()
        const dispatch = pass.dispatchWorkgroups.bind(pass)
        pass.dispatchWorkgroups = (...groups) => {
          counts.dispatches++
          return dispatch(...groups)
        }
        return pass
      }
      return encoder
    }
    return counts
  }

  const stacked = (layers: number): Shapes =>
    Object.fromEntries(
      Array.from({ length: layers }, (_, layer) => [
        [`${layer}/weight`, [4, 5]] as const,
        [`${layer}/bias`, [5]] as const,
      ]).flat(),
    )

  it('is asked once a step, with as many dispatches for 200 tensors as for 2', async () => {
    const dispatches: number[] = []
    for (const layers of [1, 100]) {
      const device = await newDevice()
      const counts = counted(device)
      const optimizer = await compile(clipByGlobalNorm(adamW()), stacked(layers), {
        backend: webgpu({ device }),
        nonFinite: 'allow',
      })
      counts.submits = 0
      counts.dispatches = 0
      for (let step = 1; step <= 3; step++) optimizer.step()
      expect(counts.submits).toBe(3)
      dispatches.push(counts.dispatches / 3)
      optimizer.dispose()
      device.destroy()
    }
    expect(dispatches[1]).toBe(dispatches[0])
    expect(dispatches[0]).toBeLessThan(10)
  })

  it('holds nothing more after many steps, and nothing after dispose', async () => {
    const device = await newDevice()
    const counts = counted(device)
    const optimizer = await compile(adamW(), shapes, { backend: webgpu({ device }) })
    const gradients = gradientsOf(shapes, 1)
    optimizer.step({ gradients })
    await optimizer.settled()
    const held = counts.buffers
    const steps = everything ? 10_000 : 1000
    for (let step = 1; step <= steps; step++) {
      optimizer.step({ gradients })
      if (step % 500 === 0) await optimizer.settled()
    }
    expect(optimizer.steps).toBe(steps + 1)
    expect(counts.buffers).toBe(held)
    optimizer.dispose()
    optimizer.dispose()
    expect(counts.buffers).toBe(0)
    expect(() => optimizer.step()).toThrow('step: this optimizer has been disposed')
    device.destroy()
  })

  it('that is lost is an error of whoever waits, and training goes on elsewhere from the last checkpoint', async () => {
    const device = await newDevice()
    const optimizer = await compile(adamW({ learningRate: 0.1 }), shapes, { backend: webgpu({ device }) })
    const gradients = gradientsOf(shapes, 1)
    optimizer.step({ gradients })
    const saved = await optimizer.saveAsync()
    device.destroy()
    await device.lost
    await expect(optimizer.saveAsync()).rejects.toThrow(/the device was lost \(.*\); compile on a new device/)
    expect(() => optimizer.step({ gradients })).toThrow(/the device was lost/)
    await expect(compile(adamW(), shapes, { backend: webgpu({ device }) })).rejects.toThrow('the device was lost')
    const other = await there(adamW({ learningRate: 0.1 }))
    other.load(saved)
    other.step({ gradients })
    expect((await other.settled()).step).toBe(2)
    other.dispose()
  })

  it('that is lost during a step is so too', async () => {
    const device = await newDevice()
    const optimizer = await compile(adamW(), shapes, { backend: webgpu({ device }) })
    optimizer.step({ gradients: gradientsOf(shapes, 1) })
    device.destroy()
    await expect(optimizer.settled()).rejects.toThrow('the device was lost')
    expect(optimizer.steps).toBe(0)
  })

  it('with too small buffers is refused', async () => {
    const device = await newDevice()
    const limits = new Proxy(device.limits, {
      get: (target, key) => (key === 'maxBufferSize' ? 1024 : Reflect.get(target, key)),
    })
    const small = new Proxy(device, {
      get: (target, key) => {
        if (key === 'limits') return limits
        const value = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await expect(compile(adamW(), { w: [1000] }, { backend: webgpu({ device: small }) })).rejects.toThrow(
      /webgpu: parameter of all tensors take 0 MiB, all arrays 0 MiB; a kernel of this device reaches 4 buffers of 0 MiB/,
    )
    // Four arrays of 60 numbers fit into as many buffers.
    const optimizer = await compile(adamW({ learningRate: 0.1 }), { w: [60] }, { backend: webgpu({ device: small }) })
    const exact = await compile(adamW({ learningRate: 0.1 }), { w: [60] }, { backend: reference() })
    for (const each of [optimizer, exact]) each.step({ gradients: gradientsOf({ w: [60] }, 1) })
    await expectClose(optimizer.readParameters(), exact.parameters)
    optimizer.dispose()
    device.destroy()
  })

  it('whose compiler refuses a kernel says which optimizer and which pass', async () => {
    const device = await newDevice()
    const create = device.createShaderModule.bind(device)
    device.createShaderModule = (given) => create({ ...given, code: given.code.replace('let r2 =', 'let r2 : u32 =') })
    await expect(compile(adamW(), { w: [3] }, { backend: webgpu({ device }) })).rejects.toThrow(
      /webgpu: the kernel 'adamW, level 0: a pass over elements' does not compile: line \d+: /,
    )
    device.destroy()
  })
})

describe('without WebGPU', () => {
  it('says what to do', async () => {
    await expect(compile(adamW(), shapes, { backend: webgpu() })).rejects.toThrow('there is no navigator.gpu here')
    expect(() => webgpu({ devise: undefined } as never)).toThrow("webgpu: unknown option 'devise'")
  })
})
