import { adamW, compile, type EvaluationRequest, optEx, sgd, sharpnessAware, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { differentByte } from './support/compare.ts'

/** The loss w², whose gradient takes time. */
async function slowly({ parameters, gradients }: Pick<EvaluationRequest, 'parameters' | 'gradients'>): Promise<number> {
  const values = Array.from(parameters.w!, (value) => 2 * value)
  await Promise.resolve()
  gradients.w!.set(values)
  return values.reduce((sum, value) => sum + value ** 2 / 4, 0)
}

async function make(wrapped: boolean) {
  const rule = sgd({ learningRate: 0.1 })
  const optimizer = await compile(wrapped ? sharpnessAware(rule, { rho: 0.5 }) : rule, { w: [1] })
  optimizer.parameters.w![0] = 1
  return optimizer
}

describe('while minimize waits for an evaluation', () => {
  it.each([
    [false, 0.8, 0.64],
    [true, 0.7, 0.46],
  ])('a second one is refused, and the first is taken (sharpness-aware: %s)', async (wrapped, first, second) => {
    const optimizer = await make(wrapped)
    const pending = optimizer.minimize(slowly)
    await expect(optimizer.minimize(slowly)).rejects.toThrow(
      'minimize: minimize is waiting for an evaluation of the model; await the step that is being taken first',
    )
    await pending
    expect(optimizer.steps).toBe(1)
    expect(optimizer.parameters.w![0]).toBeCloseTo(first, 6)
    await optimizer.minimize(slowly)
    expect(optimizer.parameters.w![0]).toBeCloseTo(second, 6)
  })

  it('nothing else can be done, inside the function or beside it, and all can afterwards', async () => {
    const optimizer = await compile(sharpnessAware(adamW(), { rho: 0.5 }), { w: [2] })
    optimizer.parameters.w!.set([1, 2])
    const bytes = optimizer.save()
    const actions: Record<string, () => unknown> = {
      set: () => optimizer.set({ rho: 1 }),
      attach: () => optimizer.attach({ parameters: { w: [1, 2] } }),
      save: () => optimizer.save(),
      load: () => optimizer.load(bytes),
      evaluationParameters: () => optimizer.evaluationParameters(),
      dispose: () => optimizer.dispose(),
      step: () => optimizer.step(),
    }
    const message = (name: string) => `${name}: minimize is waiting`
    let evaluations = 0
    const pending = optimizer.minimize(async (request) => {
      evaluations++
      for (const [name, action] of Object.entries(actions)) expect(action).toThrow(message(name))
      return slowly(request)
    })
    for (const [name, action] of Object.entries(actions)) expect(action).toThrow(message(name))
    await pending
    expect(evaluations).toBe(2)
    expect(differentByte(optimizer.save(), bytes)).not.toBe(-1)
    optimizer.load(bytes)
    expect([...optimizer.parameters.w!]).toEqual([1, 2])
    optimizer.set({ rho: 1 })
    expect([...optimizer.evaluationParameters().w!]).toEqual([1, 2])
  })

  it('a function that throws does not leave it waiting', async () => {
    const optimizer = await make(true)
    const fail = () => {
      throw new Error('no data')
    }
    await expect(optimizer.minimize(fail)).rejects.toThrow('no data')
    expect(optimizer.parameters.w![0]).toBe(1)
    await optimizer.minimize(slowly)
    expect(optimizer.steps).toBe(1)
  })
})

it('optEx holds its optimizer while points are evaluated', async () => {
  const optimizer = await make(false)
  const parallel = optEx(optimizer, { parallel: 2 })
  await parallel.step(slowly)
  const pending = parallel.step(slowly)
  expect(() => optimizer.step()).toThrow('step: optEx.step is waiting for evaluations of the model')
  await expect(parallel.step(slowly)).rejects.toThrow('save: optEx.step is waiting for evaluations of the model')
  await pending
  optimizer.step()
})

describe.each([1, 2])('after dispose, with %i threads', (threads) => {
  it('everything says so', async () => {
    const optimizer = await compile(sgd(), { w: [2] }, { backend: wasm({ threads }) })
    const bytes = optimizer.save()
    optimizer.dispose()
    optimizer.dispose()
    const message = (name: string) => `${name}: this optimizer has been disposed; compile a new one`
    expect(() => optimizer.step()).toThrow(message('step'))
    expect(() => optimizer.set({ learningRate: 1 })).toThrow(message('set'))
    expect(() => optimizer.attach({})).toThrow(message('attach'))
    expect(() => optimizer.save()).toThrow(message('save'))
    expect(() => optimizer.load(bytes)).toThrow(message('load'))
    expect(() => optimizer.state('w')).toThrow(message('state'))
    expect(() => optimizer.evaluationParameters()).toThrow(message('evaluationParameters'))
    await expect(optimizer.minimize(() => 1)).rejects.toThrow(message('minimize'))
  })
})

it('properties that cannot be replaced refuse it', async () => {
  const optimizer = await compile(sgd(), { w: [1] })
  const writable = optimizer as unknown as Record<string, unknown>
  const gradients = optimizer.gradients as Record<string, Float32Array>
  const parameters = optimizer.parameters as Record<string, Float32Array>
  expect(() => Object.assign(gradients, { w: new Float32Array(1) })).toThrow(TypeError)
  expect(() => Object.assign(parameters, { w: new Float32Array(1) })).toThrow(TypeError)
  expect(() => Object.assign(parameters, { misspelled: new Float32Array(1) })).toThrow(TypeError)
  for (const name of ['parameters', 'gradients', 'inputs', 'names', 'needs', 'moves', 'skipped', 'steps', 'hyper']) {
    expect(() => Object.assign(writable, { [name]: {} })).toThrow(TypeError)
  }
})
