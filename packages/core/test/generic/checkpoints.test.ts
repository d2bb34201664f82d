import {
  accumulateGradients,
  adamW,
  type Backend,
  type CompiledOptimizer,
  compile,
  describe as describeOptimizer,
  groups,
  lookahead,
  type Optimizer,
  prodigy,
  reference,
  type Shapes,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { checkpointVersion } from '../../src/state/checkpoint.ts'
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from '../../src/state/safetensors.ts'
import { changedBits, differences, differentByte, snapshot } from '../support/compare.ts'
import { matrixAndVector, smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { changesOf, make, registry, wrappers, wrappersAround } from '../support/variants.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

/** Takes steps with the gradients that belong to their numbers, so that a run can go on where another stopped. */
async function train(optimizer: CompiledOptimizer, from: number, to: number): Promise<CompiledOptimizer> {
  if (from === 1) fillAll(optimizer.parameters, randomNumbers(100))
  for (let step = from; step <= to; step++) {
    fillAll(optimizer.gradients, randomNumbers(step))
    await takeStep(optimizer)
  }
  return optimizer
}

async function expectToContinue(optimizer: Optimizer, backend: () => Backend, shapes = smallModel): Promise<void> {
  const whole = await train(await compile(optimizer, shapes, { backend: backend() }), 1, 4)
  const bytes = whole.save()
  await train(whole, 5, 8)
  const fresh = await compile(optimizer, shapes, { backend: backend() })
  fillAll(fresh.parameters, randomNumbers(999))
  fresh.load(bytes)
  expect(fresh.steps).toBe(4)
  expect(differentByte(fresh.save(), bytes)).toBe(-1)
  await train(fresh, 5, 8)
  expect(changedBits(snapshot(fresh), snapshot(whole))).toEqual([])
  expect(differentByte(fresh.save(), whole.save())).toBe(-1)
  // Back from later: what happened since leaves no trace.
  whole.load(bytes)
  expect(differentByte(whole.save(), bytes)).toBe(-1)
  expect(changedBits(snapshot(await train(whole, 5, 8)), snapshot(fresh))).toEqual([])
}

/** Loading must fail with this message and change nothing at all. */
function expectRefusal(optimizer: CompiledOptimizer, bytes: Uint8Array, message: RegExp): void {
  const [before, values, skipped] = [optimizer.save(), snapshot(optimizer), optimizer.skipped]
  expect(() => optimizer.load(bytes)).toThrow(message)
  expect(differentByte(optimizer.save(), before)).toBe(-1)
  expect(changedBits(snapshot(optimizer), values)).toEqual([])
  expect(optimizer.skipped).toBe(skipped)
}

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  const { kind } = describeOptimizer(factory)

  const continuing = backends.filter(([title]) => title === 'wasm' || meets('a run on the reference', name))
  it.each(continuing)('continues a run to the bit on %s', async (_, backend) => {
    await expectToContinue(factory(), backend)
  })

  it.runIf(meets('a run with more', name))('continues to the bit with options and with wrappers', async () => {
    // What is kept does not depend on the kernel.
    for (const { settings } of changesOf(factory))
      await expectToContinue(make(factory, settings), reference, matrixAndVector)
    for (const wrapper of wrappersAround(factory))
      await expectToContinue(wrappers[wrapper]!(factory()), reference, matrixAndVector)
  })

  it.runIf(meets('from one backend to the other', name))('carries a run from one backend to the other', async () => {
    const tolerance = { relative: 4e-7, scale: kind === 'matrix' ? 3e-4 : 4e-6 }
    const exact = await train(await compile(factory(), smallModel, { backend: reference() }), 1, 4)
    const fast = await compile(factory(), smallModel)
    fast.load(exact.save())
    expect(fast.steps).toBe(4)
    const rounded = Object.entries(snapshot(exact)).map(([key, array]) => {
      const isNumber = array.length === 1 && typeof exact.state(key.split(' ')[0]!)[key.split(' ')[2]!] === 'number'
      return [key, isNumber ? array : array.map(Math.fround)] as const
    })
    expect(changedBits(snapshot(fast), Object.fromEntries(rounded))).toEqual([])
    // What float32 holds goes back unrounded.
    const back = await compile(factory(), smallModel, { backend: reference() })
    back.load(fast.save())
    expect(changedBits(snapshot(back), snapshot(fast))).toEqual([])
    const before = snapshot(back)
    expect(
      differences(snapshot(await train(fast, 5, 5)), snapshot(await train(back, 5, 5)), before, tolerance),
    ).toEqual([])
  })

  it.runIf(meets('refused checkpoints', name))(
    'refuses checkpoints of other models, optimizers and options and changes nothing',
    async () => {
      const optimizer = await train(await compile(factory(), smallModel), 1, 3)
      const other = async (own: Optimizer, shapes: Shapes) => (await train(await compile(own, shapes), 1, 2)).save()
      const { bias, ...withoutBias } = smallModel
      const { joint } = factory.definition
      const lacks = joint ? /weight to scale' has shape \[\d+\] in the checkpoint/ : /lacks '(parameters|state)\/bias/
      expectRefusal(optimizer, await other(factory(), withoutBias), lacks)
      const larger = await other(factory(), { ...smallModel, extra: [2] })
      const holds = joint ? /lacks 'parameters\/weight to scale'/ : /holds .*parameters\/extra.*does not have/
      expectRefusal(optimizer, larger, holds)
      const transposed = await other(factory(), { ...smallModel, weight: [7, 4] })
      // A vector does not know what shape its parts have.
      const turned = /'parameters\/weight' has shape \[7, 4\] in the checkpoint and \[4, 7\] here/
      if (!joint) expectRefusal(optimizer, transposed, turned)
      const stranger = name === 'sgd' ? adamW() : sgd()
      expectRefusal(
        optimizer,
        await other(stranger, smallModel),
        /the checkpoint is of the optimizer \w+\(\), this one is/,
      )
      const wrapped = await other(lookahead(sgd()), smallModel)
      expectRefusal(optimizer, wrapped, /optimizer lookahead\(sgd\(\)\), this one is/)
      for (const { settings } of changesOf(factory)) {
        const [key] = Object.keys(settings) as [string]
        if (Object.hasOwn(factory.definition.hyper, key)) continue
        const bytes = await other(make(factory, settings), smallModel)
        const changes = settings.decay !== factory.definition.decay
        if (changes) expectRefusal(optimizer, bytes, new RegExp(`the optimizer .*${key}: ${settings[key]}`))
        else expect(() => optimizer.load(bytes)).not.toThrow()
      }
    },
  )
})

describe('checkpoints', () => {
  it('hold every step count: own clocks, tensors without gradient, skipped steps', async () => {
    const make = () =>
      compile(accumulateGradients(lookahead(adamW(), { period: 2 }), { period: 3 }), smallModel, { nonFinite: 'skip' })
    const first = await make()
    fillAll(first.parameters, randomNumbers(1))
    const step = (optimizer: CompiledOptimizer, number: number) => {
      fillAll(optimizer.gradients, randomNumbers(number))
      if (number % 5 === 0) optimizer.gradients.scale![0] = Number.NaN
      optimizer.step(number % 2 === 0 ? { without: ['bias'] } : {})
    }
    for (let number = 1; number <= 11; number++) step(first, number)
    expect(first.skipped).toBe(2)
    const second = await make()
    second.load(first.save())
    expect([second.steps, second.skipped]).toEqual([9, 2])
    for (let number = 12; number <= 30; number++) {
      step(first, number)
      step(second, number)
    }
    expect(changedBits(snapshot(second), snapshot(first))).toEqual([])
    expect(differentByte(second.save(), first.save())).toBe(-1)
    expect(second.skipped).toBe(6)
  })

  it('hold numbers that all tensors share once, in float64', async () => {
    const optimizer = await train(await compile(prodigy(), smallModel), 1, 6)
    const { tensors } = decodeSafetensors(optimizer.save())
    const shared = [...tensors].filter(([key]) => key.startsWith('shared/'))
    expect(shared.map(([key]) => key)).toEqual([
      'shared/prodigy.d',
      'shared/prodigy.dMaximum',
      'shared/prodigy.numerator',
    ])
    for (const [key, { data }] of shared) {
      expect(data).toBeInstanceOf(Float64Array)
      expect(data[0]).toBe(optimizer.state('bias')[key.split('.')[1]!])
    }
  })

  it('do not depend on hyperparameters, which are not part of them', async () => {
    const optimizer = await train(await compile(adamW({ learningRate: 0.5 }), smallModel), 1, 3)
    const other = await compile(adamW({ learningRate: 0.001 }), smallModel)
    other.load(optimizer.save())
    expect(other.hyper.learningRate).toBe(0.001)
    expect(changedBits(snapshot(other), snapshot(optimizer))).toEqual([])
  })

  it('of groups tell frozen and other groups apart', async () => {
    const grouped = (list: Parameters<typeof groups>[1]) => compile(groups(adamW(), list), smallModel)
    const first = await train(await grouped([{ match: 'bias', frozen: true }]), 1, 2)
    const same = await grouped([{ match: 'bias', frozen: true }])
    same.load(first.save())
    expect(changedBits(snapshot(same), snapshot(first))).toEqual([])
    const lions = await grouped([{ match: 'bias', optimizer: sgd() }])
    expectRefusal(
      lions,
      first.save(),
      /is of the optimizer adamW\(\), this one is groups\(adamW\(\), group 1: sgd\(\)\)/,
    )
  })

  it('keep special values: infinities, not a number, minus zero', async () => {
    const optimizer = await compile(sgd({ momentum: 0.9 }), { a: [4] }, { nonFinite: 'allow' })
    optimizer.parameters.a!.set([Number.NaN, Number.POSITIVE_INFINITY, -0, 1])
    optimizer.gradients.a!.set([1, 1, -0, Number.NEGATIVE_INFINITY])
    optimizer.step()
    const other = await compile(sgd({ momentum: 0.9 }), { a: [4] })
    other.load(optimizer.save())
    expect(changedBits(snapshot(other), snapshot(optimizer))).toEqual([])
  })
})

describe('a damaged checkpoint', async () => {
  const optimizer = await train(await compile(adamW(), { weight: [2, 3], bias: [2] }), 1, 3)
  const good = optimizer.save()
  const { tensors, metadata } = decodeSafetensors(good)
  await train(optimizer, 4, 4)
  const changed = (
    meta: Readonly<Record<string, string>>,
    arrays: ReadonlyMap<string, StoredTensor> = tensors,
  ): Uint8Array => encodeSafetensors(arrays, { ...metadata, ...meta })

  it('is refused at every length but its own', () => {
    for (let length = 0; length < good.length; length++) expectRefusal(optimizer, good.subarray(0, length), /./)
    expectRefusal(optimizer, Uint8Array.of(...good, 0), /./)
  })

  it('is read in whole or not at all, whatever byte of the header is wrong', () => {
    const before = optimizer.save()
    const header = Number(new DataView(good.buffer, good.byteOffset).getBigUint64(0, true)) + 8
    let refused = 0
    for (let position = 0; position < header; position++) {
      const bytes = good.slice()
      bytes[position]! ^= 1
      try {
        optimizer.load(bytes)
        optimizer.load(before)
      } catch (error) {
        expect((error as Error).message).toMatch(/^(load|safetensors): /)
        refused++
      }
      expect(differentByte(optimizer.save(), before)).toBe(-1)
    }
    // Some bits are free: spaces, digits of step counts, letters of free texts.
    expect(refused).toBeGreaterThan(0.7 * header)
  })

  it('of another format or version says so', () => {
    expectRefusal(optimizer, changed({ format: 'pt' }), /not a checkpoint of Fallline/)
    const newer = `${checkpointVersion + 1}`
    expectRefusal(
      optimizer,
      changed({ version: newer }),
      new RegExp(`version ${newer}; .*reads version ${checkpointVersion}`),
    )
  })

  it.each([
    ['no text', '{'],
    ['no list', '3'],
    ['none for a parameter', '[["",[["",3]]]]'],
    ['a negative one', JSON.stringify(JSON.parse(metadata.counts!)).replace('3', '-3')],
    ['a broken one', JSON.stringify(JSON.parse(metadata.counts!)).replace('3', '2.5')],
    ['a text', JSON.stringify(JSON.parse(metadata.counts!)).replace('3', '"3"')],
  ])('with step counts that are %s is refused', (_, counts) => {
    expectRefusal(optimizer, changed({ counts }), /load: the step counts .*damaged/)
  })

  it('with numbers of another type is refused', () => {
    const integers = new Map(tensors).set('parameters/bias', { shape: [2], data: Int32Array.of(1, 2) })
    expectRefusal(optimizer, changed({}, integers), /'parameters\/bias' must hold F32 or F64/)
  })

  it('without one of its arrays is refused', () => {
    for (const key of tensors.keys()) {
      const fewer = new Map(tensors)
      fewer.delete(key)
      expectRefusal(optimizer, changed({}, fewer), new RegExp(`lacks .*'${key}'`))
    }
  })
})
