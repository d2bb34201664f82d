import {
  accumulateGradients,
  adam,
  adamW,
  type CompileOptions,
  clipByGlobalNorm,
  compile,
  cosine,
  lookahead,
  muon,
  type Optimizer,
  parameterAverage,
  psgdXMat,
  quantized,
  reference,
  scheduleFreeAdamW,
  sgd,
  sharpnessAware,
  switchAfter,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { deferred } from './support/deferred.ts'
import { smallModel } from './support/models.ts'
import { randomNumbers } from './support/random.ts'
import { meets } from './support/sample.ts'
import { takeStep } from './support/step.ts'
import { make, registry } from './support/variants.ts'

const shapes = { weight: [3, 4], bias: [4] }

/** The same optimizer on a device and on the reference, with the same parameters. */
async function both(
  optimizer: Optimizer,
  model: Readonly<Record<string, readonly number[]>> = shapes,
  options: CompileOptions = {},
) {
  const backend = deferred()
  const there = await compile(optimizer, model, { ...options, backend })
  const here = await compile(optimizer, model, { ...options, backend: reference() })
  const random = randomNumbers(5)
  for (const values of Object.values(here.parameters)) values.set(values.map(random))
  there.writeParameters(here.parameters)
  return { there, here, device: backend.device }
}

const gradientsOf = (
  names: readonly string[],
  parameters: Readonly<Record<string, ArrayLike<number>>>,
  seed: number,
) => {
  const random = randomNumbers(seed)
  return Object.fromEntries(names.map((name) => [name, Float64Array.from(parameters[name]!, random)]))
}

const broken = { weight: new Float64Array(12).fill(1), bias: [1, Number.NaN, 1, 1] }

const chosen = registry.filter(({ definition }) => meets('on a device', definition.name) || definition.evaluations)

describe('a backend that lets nothing be looked at', () => {
  it.each(chosen.map((factory) => [factory.definition.name, factory] as const))(
    'takes the same steps: %s',
    async (_, factory) => {
      const { there, here } = await both(make(factory), smallModel)
      for (let step = 1; step <= 3; step++) {
        const gradients = gradientsOf(here.names, here.parameters, step)
        const results = [await takeStep(there, { gradients }), await takeStep(here, { gradients })]
        expect(results[0]).toEqual(results[1])
      }
      expect(await there.saveAsync()).toEqual(here.save())
      expect(await there.readParameters()).toEqual({ ...here.parameters })
    },
  )

  it('shows and takes the parts of what is one vector to an optimizer', async () => {
    const { there, here } = await both(psgdXMat(), smallModel)
    const bias = Float32Array.from(here.parameters.bias!, (value) => 2 * value + 1)
    there.writeParameters({ bias })
    here.writeParameters({ bias })
    expect(await there.readParameters()).toEqual({ ...here.parameters })
    for (const optimizer of [there, here]) {
      await optimizer.minimize(({ parameters, gradients }) => {
        for (const name of here.names) gradients[name]!.set(parameters[name]!.map((value) => 3 * value))
        return 1
      })
    }
    expect(await there.readParameters()).toEqual({ ...here.parameters })
    expect(await there.readState('bias')).toEqual(here.state('bias'))
  })

  it('keeps such a vector in float32', async () => {
    const kept = quantized(psgdXMat(), { minimumSize: 0, parameters: 'bf16' })
    await expect(compile(kept, smallModel, { backend: deferred() })).rejects.toThrow(
      "compile: weight to scale are one vector to this optimizer, whose parts a device can only write in float32: leave out 'parameters'",
    )
  })

  const learningRate = cosine({ from: 0.1, to: 0, steps: 12 })
  const wrapped: Record<string, Optimizer> = {
    'schedule, clipping': clipByGlobalNorm(adamW({ learningRate }), { maximumNorm: 0.5 }),
    cadences: lookahead(accumulateGradients(adam({ learningRate }), { period: 2 }), { period: 2 }),
    average: parameterAverage(sgd({ learningRate, momentum: 0.9 })),
    'schedule-free': scheduleFreeAdamW(),
    fallback: muon({ learningRate }),
    switch: switchAfter(adam(), sgd({ learningRate, momentum: 0.9 }), { steps: 4 }),
  }
  it.each(Object.entries(wrapped))('is told step after step without an answer: %s', async (_, optimizer) => {
    const { there, here, device } = await both(optimizer)
    device.log.length = 0
    for (let step = 1; step <= 9; step++) {
      const gradients = gradientsOf(here.names, here.parameters, step)
      expect(there.step({ gradients })).toEqual(here.step({ gradients }))
      expect(there.hyper).toEqual(here.hyper)
    }
    expect(device.log).toEqual([])
    expect(await there.settled()).toEqual(await here.settled())
    expect(device.log.filter((what) => what === 'read')).toEqual([])
    expect(await there.readEvaluationParameters()).toEqual(here.evaluationParameters())
    expect(await there.readState('weight')).toEqual(here.state('weight'))
    expect(await there.saveAsync()).toEqual(here.save())
    expect(await here.saveAsync()).toEqual(here.save())
  })

  it('moves to the points of evaluations and back', async () => {
    const { there, here } = await both(sharpnessAware(adamW({ learningRate: 0.1 }), { rho: 0.3 }))
    const points: number[][] = [[], []]
    for (let step = 1; step <= 3; step++) {
      for (const [index, optimizer] of [there, here].entries()) {
        await optimizer.minimize(({ parameters, gradients }) => {
          points[index]!.push(...parameters.weight!)
          gradients.weight!.set(parameters.weight!.map((x) => 2 * x))
          gradients.bias!.set(parameters.bias!)
          return { loss: 1, without: step === 2 ? ['bias'] : [] }
        })
      }
    }
    expect(points[0]).toEqual(points[1])
    expect(points[0]!.length).toBe(3 * 2 * 12)
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it.each(['throw', 'skip'] as const)(
    'brings parameters back from a point when the gradient there is not finite: %s',
    async (nonFinite) => {
      const { there, here } = await both(sharpnessAware(sgd({ learningRate: 0.1 }), { rho: 0.5 }), shapes, {
        nonFinite,
      })
      const before = await there.readParameters()
      for (const optimizer of [there, here]) {
        const step = optimizer.minimize(({ gradients, evaluation }) => {
          gradients.weight!.fill(evaluation === 0 ? 1 : Number.NaN)
          gradients.bias!.fill(1)
          return 1
        })
        if (nonFinite === 'throw') await expect(step).rejects.toThrow("step 1: the gradient of 'weight' is not finite")
        else expect(await step).toEqual({ step: 0, skipped: true, nonFinite: ['weight'] })
        expect([optimizer.steps, optimizer.skipped]).toEqual([0, nonFinite === 'skip' ? 1 : 0])
      }
      const after = await there.readParameters()
      for (const [index, value] of before.weight!.entries()) expect(after.weight![index]).toBeCloseTo(value, 12)
      expect(await there.saveAsync()).toEqual(here.save())
    },
  )

  it('goes on from a checkpoint, also of another backend', async () => {
    const optimizer = lookahead(adamW({ learningRate }), { period: 2 })
    const { there, here } = await both(optimizer)
    for (let step = 1; step <= 3; step++) here.step({ gradients: gradientsOf(here.names, here.parameters, step) })
    there.load(here.save())
    expect(there.steps).toBe(3)
    const gradients = gradientsOf(here.names, here.parameters, 4)
    expect(there.step({ gradients })).toEqual(here.step({ gradients }))
    expect(await there.saveAsync()).toEqual(here.save())
    expect(() => there.load(new Uint8Array(9))).toThrow()
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it('reports telemetry when the step is settled', async () => {
    const { there, here } = await both(adamW({ learningRate: 0.1 }), shapes, { telemetry: true })
    for (let step = 1; step <= 2; step++) {
      const gradients = gradientsOf(here.names, here.parameters, step)
      const { telemetry, ...rest } = here.step({ gradients })
      expect(there.step({ gradients })).toEqual(rest)
      expect((await there.settled()).telemetry).toEqual(telemetry)
    }
  })

  it('says what to use instead of what would have to wait', async () => {
    const { there, here } = await both(adamW())
    expect(() => there.parameters.weight).toThrow(
      'parameters: this backend keeps them on a device; use writeParameters',
    )
    expect(() => there.gradients.weight).toThrow('use step({ gradients: ... })')
    expect(() => there.save()).toThrow('await optimizer.saveAsync()')
    expect(() => there.state('weight')).toThrow('await optimizer.readState(name)')
    expect(() => there.evaluationParameters()).toThrow('await optimizer.readEvaluationParameters()')
    expect(() => there.attach({})).toThrow('attach: this backend keeps')
    expect(() => there.writeParameters({ weight: [1] })).toThrow("writeParameters: 'weight' has shape [3, 4], so 12")
    expect(() => there.writeParameters({ weigth: [1] } as never)).toThrow("unknown parameter 'weigth'")
    const reading = there.saveAsync()
    expect(() => there.step()).toThrow('step: saveAsync is reading')
    expect(await reading).toEqual(here.save())
    expect([there.precision, here.precision.arrays]).toEqual([here.precision, 'float64'])
  })
})

describe('a gradient that is not finite, on such a backend', () => {
  it('throw: neither that step nor those that were ordered after it are taken', async () => {
    const { there, here } = await both(accumulateGradients(adam({ learningRate: 0.1 }), { period: 2 }))
    const good = (step: number) => gradientsOf(here.names, here.parameters, step)
    for (const step of [1, 2, 3]) for (const optimizer of [there, here]) optimizer.step({ gradients: good(step) })
    there.step({ gradients: broken })
    for (const step of [5, 6]) there.step({ gradients: good(step) })
    expect(there.steps).toBe(6)
    await expect(there.settled()).rejects.toThrow(
      "step 4: the gradient of 'bias' is not finite; parameters and state are unchanged; the 2 steps after it were not taken either",
    )
    expect(there.steps).toBe(3)
    expect(await there.saveAsync()).toEqual(here.save())
    for (const step of [4, 5]) for (const optimizer of [there, here]) optimizer.step({ gradients: good(step) })
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it('throw: the next step says so when nobody awaited it, once', async () => {
    const { there, here } = await both(adam())
    there.step({ gradients: broken })
    await there.saveAsync().catch(() => {})
    there.step({ gradients: broken })
    // Without asking for what became of it.
    await new Promise((resolve) => setTimeout(resolve, 50))
    const gradients = gradientsOf(here.names, here.parameters, 1)
    expect(() => there.step({ gradients })).toThrow("step 1: the gradient of 'bias' is not finite")
    expect(there.step({ gradients })).toEqual(here.step({ gradients }))
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it.each(['saveAsync', 'readParameters', 'readEvaluationParameters', 'minimize'] as const)(
    'throw: %s says so',
    async (method) => {
      const { there } = await both(adam())
      there.step({ gradients: broken })
      const call = method === 'minimize' ? there.minimize(() => 1) : there[method]()
      await expect(call).rejects.toThrow("step 1: the gradient of 'bias' is not finite")
      await expect(there.settled()).resolves.toEqual({ step: 0, skipped: false, nonFinite: [] })
    },
  )

  it('throw: what a slot copies from the parameter at its first step is not copied', async () => {
    const { there, here } = await both(lookahead(sgd({ learningRate: 0.1 }), { period: 2 }))
    there.step({ gradients: broken })
    await expect(there.settled()).rejects.toThrow()
    expect(await there.saveAsync()).toEqual(here.save())
    for (const step of [1, 2, 3]) {
      const gradients = gradientsOf(here.names, here.parameters, step)
      for (const optimizer of [there, here]) optimizer.step({ gradients })
    }
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it('skip: the next step counts as if there had been none', async () => {
    const learningRate = cosine({ from: 0.1, to: 0, steps: 8 })
    const { there, here } = await both(adam({ learningRate }), shapes, { nonFinite: 'skip' })
    for (const step of [1, 2, 3, 4, 5]) {
      const gradients = step % 2 === 0 ? broken : gradientsOf(here.names, here.parameters, step)
      there.step({ gradients })
      expect(await there.settled()).toEqual(here.step({ gradients }))
      expect(there.hyper).toEqual(here.hyper)
    }
    expect([there.steps, there.skipped]).toEqual([3, 2])
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it('skip: a step that depends on a verdict waits for it', async () => {
    const { there, here } = await both(adam(), shapes, { nonFinite: 'skip' })
    there.step({ gradients: broken })
    const gradients = gradientsOf(here.names, here.parameters, 1)
    expect(() => there.step({ gradients })).toThrow(
      'step: it is not known yet whether the gradients of step 1 were finite: await optimizer.settled() first',
    )
    expect(() => there.load(here.save())).toThrow('load: it is not known yet')
    expect(await there.settled()).toEqual(here.step({ gradients: broken }))
    expect(there.step({ gradients })).toEqual(here.step({ gradients }))
    expect(await there.saveAsync()).toEqual(here.save())
  })

  it('allow: is taken', async () => {
    const { there, here } = await both(sgd({ learningRate: 0.1 }), shapes, { nonFinite: 'allow' })
    for (const optimizer of [there, here]) optimizer.step({ gradients: broken })
    expect(await there.settled()).toEqual({ step: 1, skipped: false, nonFinite: [] })
    expect(await there.readParameters()).toEqual({ ...here.parameters })
    expect((await there.readParameters()).bias![1]).toBeNaN()
  })

  it('and a device that is lost is an error of the next to wait', async () => {
    const { there, device } = await both(adam())
    device.lost = true
    there.step({ gradients: broken })
    await expect(there.settled()).rejects.toThrow('the device was lost')
    expect(there.steps).toBe(0)
  })
})
