import {
  type Backend,
  type CompiledOptimizer,
  clipByGlobalNorm,
  compile,
  type Optimizer,
  parameterAverage,
  reference,
  type Shapes,
  scheduleFreeAdamW,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'
import { everyShape, smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { lossOf, takeStep } from '../support/step.ts'
import { make, registry, wrappers, wrappersAround } from '../support/variants.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

async function started(optimizer: Optimizer, options: Parameters<typeof compile>[2] = {}): Promise<CompiledOptimizer> {
  const compiled = await compile(optimizer, smallModel, options)
  fillAll(compiled.parameters, randomNumbers(1))
  return compiled
}

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values))

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  it.runIf(meets('uphill', name))(
    'going uphill is going downhill with the gradient turned, in wrappers too',
    async () => {
      // What a wrapper makes of a sign does not depend on the kernel.
      const backend = (name: string) => ({ backend: name === 'nothing' ? wasm() : reference() })
      const found: Record<string, string[]> = {}
      const expected: Record<string, string[]> = {}
      for (const name of ['nothing', ...wrappersAround(factory)]) {
        const wrap = wrappers[name] ?? ((inner: Optimizer) => inner)
        const uphill = await started(wrap(make(factory, { maximize: true })), backend(name))
        const downhill = await started(wrap(factory()), backend(name))
        for (let step = 1; step <= 4; step++) {
          fillAll(uphill.gradients, randomNumbers(step))
          for (const [key, array] of Object.entries(uphill.gradients)) {
            downhill.gradients[key]!.set(array.map((value) => -value))
          }
          const loss = lossOf(step)
          await takeStep(uphill, { loss })
          await takeStep(downhill, { loss: -loss })
        }
        expected[name] = []
        found[name] = Object.keys(smallModel).filter((key) =>
          uphill.parameters[key]!.some((value, index) => value !== downhill.parameters[key]![index]),
        )
      }
      expect(found).toEqual(expected)
    },
  )

  const reporting = backends.filter(([title]) => meets(`norms on ${title}`, name))
  it.each(reporting)('reports norms as computed by hand on %s', async (_, backend) => {
    // What takes all parameters as one vector reports of the vector.
    const shapes: Shapes = factory.definition.joint ? { wide: everyShape.wide! } : everyShape
    const optimizer = await compile(factory(), shapes, { backend: backend(), telemetry: true, nonFinite: 'allow' })
    const plain = await compile(factory(), shapes, { backend: backend(), nonFinite: 'allow' })
    for (const each of [optimizer, plain]) fillAll(each.parameters, randomNumbers(1))
    for (let step = 1; step <= 3; step++) {
      for (const each of [optimizer, plain]) fillAll(each.gradients, randomNumbers(step + 10))
      const before = Object.fromEntries(
        optimizer.names.map((name) => [name, Float64Array.from(optimizer.parameters[name]!)]),
      )
      const options = step === 2 ? { without: ['wide'] } : {}
      const { telemetry } = await takeStep(optimizer, options)
      expect((await takeStep(plain, options)).telemetry).toBeUndefined()
      expect(Object.keys(telemetry!)).toEqual(optimizer.names.filter((name) => step !== 2 || name !== 'wide'))
      for (const [name, found] of Object.entries(telemetry!)) {
        const [old, now] = [before[name]!, optimizer.parameters[name]!]
        const difference = old.map((value, index) => now[index]! - value)
        // What is reported is the update before it is rounded into the parameter, by 6e-8 of it.
        const slack = 1e-5 * norm(difference) + 1e-7 * norm(old)
        expect(Math.abs(found.updateNorm - norm(difference))).toBeLessThanOrEqual(slack)
        expect(found.gradientNorm).toBeCloseTo(norm(optimizer.gradients[name]!), 9)
        expect(Math.abs(found.parameterNorm - norm(now))).toBeLessThanOrEqual(1e-7 * norm(now))
        expect(found.nonFinite).toBe(0)
      }
    }
    expect(changedBits(snapshot(optimizer), snapshot(plain))).toEqual([])
    fillAll(optimizer.gradients, randomNumbers(20))
    optimizer.gradients.wide!.set([Number.NaN, 1, Number.POSITIVE_INFINITY, 2, 3, 4, Number.NEGATIVE_INFINITY], 30)
    const { telemetry } = await takeStep(optimizer)
    expect(Object.entries(telemetry!).map(([name, { nonFinite }]) => [name, nonFinite])).toEqual(
      optimizer.names.map((name) => [name, name === 'wide' ? 3 : 0]),
    )
  })

  it.runIf(meets('plain arrays', name))('trains plain arrays as its own', async () => {
    const own = await started(factory())
    const attached = await compile(factory(), smallModel)
    // Unaligned pieces of larger arrays, float64, and plain numbers.
    const piece = (name: string, offset: number) =>
      new Float32Array(own.parameters[name]!.length + 9).subarray(offset).subarray(0, own.parameters[name]!.length)
    const parameters = {
      weight: piece('weight', 1),
      kernel: Float64Array.from(own.parameters.kernel!),
      bias: [...own.parameters.bias!],
      scale: piece('scale', 3),
    }
    parameters.weight.set(own.parameters.weight!)
    parameters.scale.set(own.parameters.scale!)
    const gradients = {
      weight: piece('weight', 5),
      kernel: new Float64Array(own.parameters.kernel!.length),
      bias: piece('bias', 7),
    }
    attached.attach({ parameters, gradients })
    for (let step = 1; step <= 4; step++) {
      fillAll(own.gradients, randomNumbers(step))
      for (const [name, array] of Object.entries(gradients)) array.set(own.gradients[name]!)
      attached.gradients.scale!.set(own.gradients.scale!)
      // Whoever attaches may change the parameters between steps.
      parameters.bias[2]! += 0.25
      own.parameters.bias![2]! += 0.25
      await takeStep(own)
      await takeStep(attached)
      expect(changedBits(snapshot(attached), snapshot(own))).toEqual([])
      for (const [name, array] of Object.entries(parameters)) expect([...array]).toEqual([...own.parameters[name]!])
    }
  })

  it.runIf(meets('copies of gradients', name))('takes copies of gradients, from any kind of array', async () => {
    const views = await started(factory())
    const copies = await started(factory())
    for (let step = 1; step <= 3; step++) {
      fillAll(views.gradients, randomNumbers(step))
      const kinds = [Float32Array.from, Float64Array.from, Array.from]
      const gradients = Object.entries(views.gradients).map(([name, array], index) => {
        const kind = [() => Float32Array.from(array), () => Float64Array.from(array), () => [...array]][
          (index + step) % kinds.length
        ]!
        return [name, kind()] as const
      })
      await takeStep(views)
      await takeStep(copies, { gradients: Object.fromEntries(gradients) })
      expect(changedBits(snapshot(copies), snapshot(views))).toEqual([])
    }
  })

  it.runIf(meets('copies to evaluate with', name))('evaluates with copies that no later step changes', async () => {
    const optimizer = await started(factory())
    const first = optimizer.evaluationParameters()
    for (const [name, array] of Object.entries(first)) expect([...array]).toEqual([...optimizer.parameters[name]!])
    fillAll(optimizer.gradients, randomNumbers(2))
    await takeStep(optimizer)
    const kept = Object.fromEntries(Object.entries(first).map(([name, array]) => [name, [...array]]))
    const second = optimizer.evaluationParameters()
    const before = snapshot(optimizer)
    for (const array of Object.values(second)) array.fill(7)
    expect(changedBits(snapshot(optimizer), before)).toEqual([])
    for (const [name, array] of Object.entries(first)) expect([...array]).toEqual(kept[name])
    const again = optimizer.evaluationParameters()
    expect(Object.keys(again)).toEqual(Object.keys(smallModel))
    if (!factory.definition.average) {
      for (const [name, array] of Object.entries(again)) expect([...array]).toEqual([...optimizer.parameters[name]!])
    }
  })
})

describe('what to evaluate with', () => {
  it('is the average of parameterAverage', async () => {
    const optimizer = await compile(parameterAverage(sgd({ learningRate: 1 }), { beta: 0.75 }), { a: [2] })
    optimizer.parameters.a!.set([1, 2])
    optimizer.step({ gradients: { a: [4, 0] } })
    expect([...optimizer.parameters.a!]).toEqual([-3, 2])
    expect([...optimizer.evaluationParameters().a!]).toEqual([0, 2])
  })

  it('is the average x of Schedule-Free, from which y is mixed', async () => {
    const optimizer = await compile(
      scheduleFreeAdamW({ learningRate: 0.1, beta1: 0.75 }),
      { a: [3] },
      { backend: reference() },
    )
    const random = randomNumbers(4)
    let x = Float64Array.of(1, -2, 0.5)
    optimizer.parameters.a!.set(x)
    for (let step = 1; step <= 5; step++) {
      fillAll(optimizer.gradients, random)
      optimizer.step()
      // Constant learning rate: all weights are equal, so x is the mean of z after each step.
      const z = optimizer.state('a').z as Float64Array
      x = x.map((value, index) => value + (z[index]! - value) / step)
      optimizer.evaluationParameters().a!.forEach((value, index) => {
        expect(value).toBeCloseTo(x[index]!, 12)
      })
      optimizer.parameters.a!.forEach((y, index) => {
        expect(y).toBeCloseTo(0.25 * z[index]! + 0.75 * x[index]!, 12)
      })
    }
  })

  it('can be defined only once', async () => {
    const twice = parameterAverage(parameterAverage(sgd()))
    await expect(compile(twice, { a: [1] })).rejects.toThrow(
      /Parameter averaging and Parameter averaging each define what to evaluate with/,
    )
  })
})

describe('attached arrays', () => {
  it('may have any length, every offset and no multiple of four', async () => {
    for (const size of [0, 1, 2, 3, 5, 17, 66]) {
      for (const offset of [0, 1, 2, 3]) {
        const [parameter, gradient] = [new Float32Array(size + 4), new Float32Array(size + 4).fill(1)]
        const optimizer = await compile(sgd({ learningRate: 1 }), { a: [size] })
        optimizer.attach({
          parameters: { a: parameter.subarray(offset, offset + size) },
          gradients: { a: gradient.subarray(offset, offset + size) },
        })
        optimizer.step()
        expect([...parameter]).toEqual(
          Array.from(parameter, (_, index) => (index >= offset && index < offset + size ? -1 : 0)),
        )
        expect(gradient.every((value) => value === 1)).toBe(true)
      }
    }
  })

  it('replace what was attached before', async () => {
    const optimizer = await compile(sgd({ learningRate: 1 }), { a: [1], b: [1] })
    const [first, second] = [[5], [7]]
    optimizer.attach({ parameters: { a: first, b: [1] }, gradients: { a: [1] } })
    optimizer.step({ gradients: { a: [2], b: [0] } })
    expect(first).toEqual([3])
    optimizer.attach({ parameters: { a: second } })
    optimizer.step({ gradients: { a: [2], b: [0] } })
    expect([first[0], second[0]]).toEqual([3, 5])
    optimizer.attach({})
    optimizer.step({ gradients: { a: [2], b: [0] } })
    expect([second[0], optimizer.parameters.a![0]]).toEqual([5, 3])
  })

  it('are left alone by a step that throws or skips', async () => {
    for (const nonFinite of ['throw', 'skip'] as const) {
      const optimizer = await compile(clipByGlobalNorm(sgd()), { a: [2], b: [1] }, { nonFinite })
      const array = Float32Array.of(1, 2)
      optimizer.attach({ parameters: { a: array }, gradients: { a: [1, Number.NaN] } })
      const take = () => optimizer.step()
      if (nonFinite === 'throw') expect(take).toThrow(/'a' is not finite/)
      else expect(take().skipped).toBe(true)
      expect([...array]).toEqual([1, 2])
    }
  })
})
