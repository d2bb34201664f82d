import {
  adafactor,
  adamW,
  adan,
  type CompiledOptimizer,
  compile,
  describe as describeOptimizer,
  explain,
  fusedBackward,
  lion,
  lookahead,
  muon,
  type Optimizer,
  type OptimizerFactory,
  parameterAverage,
  prodigy,
  quantized,
  type Shapes,
  scheduleFreeAdamW,
  sgd,
  shampoo,
  sharpnessAware,
  wasm,
} from 'fallline'
import { build } from 'fallline/build'
import { webgpu } from 'fallline/webgpu'
import { describe, expect, it } from 'vitest'
import { differentByte } from '../support/compare.ts'
import { differing, gapAt, kept, numbersFor, type Way, ways } from '../support/kept-parameters.ts'
import { shapes } from '../support/quantized.ts'
import { randomNumbers } from '../support/random.ts'
import { everything, meets } from '../support/sample.ts'
import { refuses, registry, tried, wrappers } from '../support/variants.ts'

async function trained(optimizer: CompiledOptimizer, model: Shapes, steps: number): Promise<CompiledOptimizer> {
  const random = randomNumbers(5)
  optimizer.writeParameters(numbersFor(model, random))
  for (let step = 1; step <= steps; step++) optimizer.step({ gradients: numbersFor(model, random) })
  return optimizer
}

const rules: Readonly<Record<string, () => Optimizer>> = {
  sgd: () => sgd({ learningRate: 0.1, momentum: 0.9 }),
  adamW: () => adamW({ learningRate: 0.01 }),
  lion: () => lion({ learningRate: 0.01, weightDecay: 0.1 }),
  muon: () => muon(),
  adafactor: () => adafactor(),
  adan: () => adan(),
  prodigy: () => prodigy(),
  scheduleFreeAdamW: () => scheduleFreeAdamW({ learningRate: 0.01 }),
  shampoo: () => shampoo({ epsilon: 1e-3 }),
  lookahead: () => lookahead(adamW({ learningRate: 0.01 }), { period: 2 }),
  'adamW with state in 8 bits': () => quantized(adamW({ learningRate: 0.01 }), { minimumSize: 0 }),
}

describe.each(ways)('parameters kept as %s', (way) => {
  it.each(Object.entries(rules))('with %s are what the reference keeps', async (_, rule) => {
    expect(await differing(kept(rule(), way), shapes, way, wasm())).toEqual([])
  })

  const model: Shapes = { matrix: [300, 301], thin: [3, 30_001], tall: [30_001, 3], vector: [70_001], one: [] }

  it('are the same bytes with any number of threads, and with gradients one at a time', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map((threads) => compile(kept(adamW(), way), model, { backend: wasm({ threads }) })),
    )
    const bytes = (await trained(one!, model, 3)).save()
    expect(differentByte((await trained(two!, model, 3)).save(), bytes)).toBe(-1)
    const small: Shapes = { a: [50, 3], b: [7] }
    const together = await compile(kept(adamW(), way), small)
    const apart = await compile(kept(adamW(), way), small, { gradients: 'oneAtATime' })
    const values = numbersFor(small, randomNumbers(1))
    for (const optimizer of [together, apart]) optimizer.writeParameters(values)
    for (let step = 1; step <= 3; step++) {
      const gradients = numbersFor(small, randomNumbers(step))
      together.step({ gradients })
      const backward = fusedBackward(apart)
      for (const name of ['b', 'a']) backward.update(name, gradients[name]!)
      backward.end()
    }
    expect(differentByte(apart.save(), together.save())).toBe(-1)
    for (const optimizer of [one!, two!, together, apart]) optimizer.dispose()
  })

  it('come back from a checkpoint byte by byte, and from none of another storage', async () => {
    const model: Shapes = { w: [33, 17] }
    const first = await trained(await compile(kept(adamW(), way), model), model, 3)
    const bytes = first.save()
    const again = await compile(kept(adamW(), way), model)
    again.load(bytes)
    expect(differentByte(again.save(), bytes)).toBe(-1)
    for (const optimizer of [first, again]) optimizer.step({ gradients: numbersFor(model, randomNumbers(8)) })
    expect(differentByte(again.save(), first.save())).toBe(-1)
    const name = way === 'bf16' ? 'bfloat16' : 'bfloat16AndByte'
    for (const other of [adamW(), kept(adamW(), way === 'bf16' ? 'bf16+byte' : 'bf16')]) {
      const optimizer = await compile(other, model)
      const before = optimizer.save()
      expect(() => optimizer.load(bytes)).toThrow(
        new RegExp(`lacks 'parameters/w( as \\w+)?'; it holds .*parameters/w as ${name}`),
      )
      expect(() => again.load(before)).toThrow(new RegExp(`lacks 'parameters/w as ${name}'; it holds .*parameters/w`))
      expect(differentByte(optimizer.save(), before)).toBe(-1)
    }
    // With another rule they are taken, with the same rule their state is too.
    const lions = await compile(kept(lion(), way), model)
    expect(lions.load(bytes, { take: 'fitting' }).taken).toContain(`parameters/w as ${name}`)
    again.load(bytes)
    expect(lions.evaluationParameters()).toEqual(again.evaluationParameters())
    expect(again.load(bytes, { take: 'fitting' })).toMatchObject({ missing: [], unused: [] })
    expect(differentByte(again.save(), bytes)).toBe(-1)
  })

  it('take what they should in memory, which is what the plan moves', async () => {
    const size = 2048
    const [full, less] = await Promise.all(
      [adamW(), kept(adamW(), way)].map(async (rule) => {
        const optimizer = await compile(rule, { w: [size, size] })
        const { byteLength } = optimizer.gradients.w!.buffer
        optimizer.dispose()
        return byteLength
      }),
    )
    const bytes = way === 'bf16' ? 2 : 3
    // All that lies in the memory, copies of a few elements and tables too.
    expect(4 - (full! - less!) / size ** 2).toBeCloseTo(bytes, 1)
    const [plain, described] = [describeOptimizer(adamW()), describeOptimizer(kept(adamW(), way))]
    expect(described.stateBytesPerParameter).toBe(plain.stateBytesPerParameter)
    expect(plain.readBytesPerParameter - described.readBytesPerParameter).toBe(4 - bytes)
    expect(plain.writtenBytesPerParameter - described.writtenBytesPerParameter).toBe(4 - bytes)
    expect(described.phases).toBe(1)
    expect(explain(kept(adamW(), way))).toContain(
      `Parameters are kept as ${way === 'bf16' ? 'bfloat16' : 'bfloat16AndByte'}`,
    )
  })
})

describe('parameters kept as bf16 with every optimizer', () => {
  const model: Shapes = { matrix: [13, 9], vector: [31] }
  const moves = ({ definition }: OptimizerFactory) =>
    definition.evaluations?.(definition.options as never).some(({ at }) => at) === true
  const met = registry.filter(({ definition }) => meets('kept parameters', definition.name))

  it.each(met.filter((factory) => !moves(factory)).map((factory) => [factory.definition.name, factory] as const))(
    '%s',
    async (_, factory) => {
      expect(await differing(kept(tried(factory), 'bf16'), model, 'bf16', wasm())).toEqual([])
    },
  )

  it.each(
    Object.entries(wrappers).filter(
      ([name]) => !refuses(adamW, name) && (everything || meets('kept parameters', name)),
    ),
  )('AdamW within %s', async (_, wrap) => {
    expect(await differing(kept(wrap(adamW({ learningRate: 0.01 })), 'bf16'), model, 'bf16', wasm())).toEqual([])
  })
})

describe('steps below half a gap of bfloat16', () => {
  const gap = 2 ** -7
  /** So many elements at 1, which go up by so many gaps in all. */
  async function climbed(parameters: Way, steps: number, gaps: number, seed = 0): Promise<Float32Array> {
    const rule = kept(sgd({ learningRate: (gap * gaps) / steps }), parameters, { seed })
    const optimizer = await compile(rule, { w: [4096] })
    optimizer.writeParameters({ w: new Float32Array(4096).fill(1) })
    for (let step = 0; step < steps; step++) {
      optimizer.gradients.w.fill(-1)
      optimizer.step()
    }
    const { w } = await optimizer.readParameters()
    optimizer.dispose()
    return w as Float32Array
  }
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length

  it('move the mean by as much as they are, rounded by chance', async () => {
    // One step of a quarter of the gap: a quarter of the elements goes up by a whole one, the others stay.
    const once = await climbed('bf16', 1, 1 / 4)
    expect(new Set(once)).toEqual(new Set([1, 1 + gap]))
    // Of 4096 the deviation is 28.
    expect(Math.abs(once.filter((value) => value > 1).length - 1024)).toBeLessThan(4 * 28)
    // 640 steps of 1 / 64 of it: each element has gone 10 gaps with a deviation of 3.1, the mean one of 0.05.
    const often = await climbed('bf16', 640, 10)
    expect(Math.abs((mean(often) - 1) / gap - 10)).toBeLessThan(4 * 0.05)
    expect(new Set(often).size).toBeGreaterThan(8)
    expect(await climbed('bf16', 1, 1 / 4)).toEqual(once)
    expect(await climbed('bf16', 1, 1 / 4, 1)).not.toEqual(once)
  })

  it('are kept by the byte, each element by itself', async () => {
    // The byte counts 1 / 256 of the gap.
    expect(new Set(await climbed('bf16+byte', 640, 10))).toEqual(new Set([1 + 10 * gap]))
  })
})

describe('what has no parameters in float32', () => {
  const model = { w: [8, 8], small: [3] }
  const create = (rule: Optimizer = adamW({ learningRate: 0.1 })) =>
    compile(kept(rule, 'bf16', { minimumSize: 10 }), model)

  it('says how to read and write them, and shows those that are small', async () => {
    const optimizer = await create()
    expect(() => optimizer.parameters.w).toThrow(
      "parameters: 'w' is kept as bfloat16, of which there is no view; use writeParameters(...) and await readParameters()",
    )
    optimizer.parameters.small.fill(2)
    // 1 + 2 ** -9 is halfway to nowhere: the nearest is 1.
    optimizer.writeParameters({ w: new Float32Array(64).fill(1 + 2 ** -9) })
    expect((await optimizer.readParameters()).w).toEqual(new Float32Array(64).fill(1))
    expect(optimizer.evaluationParameters().small).toEqual(new Float32Array([2, 2, 2]))
    expect(Object.keys(optimizer.state('w'))).toEqual(['m', 'v'])
    expect(optimizer.names).toEqual(['w', 'small'])
    for (const [call, name] of [
      [() => optimizer.attach({ gradients: { w: new Float32Array(64) } }), 'attach'],
      [() => optimizer.rebase({ w: new Float32Array(64) }), 'rebase'],
    ] as const) {
      expect(call).toThrow(`${name}: the parameter 'w' is kept as bfloat16, not float32; use writeParameters`)
    }
  })

  it('evaluates at what is kept', async () => {
    const optimizer = await create(sgd({ learningRate: 1 }))
    optimizer.writeParameters({ w: new Float32Array(64).fill(3) })
    const seen: number[] = []
    for (let step = 0; step < 2; step++) {
      await optimizer.minimize(({ parameters, gradients }) => {
        seen.push(parameters.w[5]!)
        gradients.w.fill(1)
        gradients.small.fill(0)
        return 0
      })
    }
    expect(seen).toEqual([3, 2])
    expect(optimizer.evaluationParameters().w[63]).toBe(1)
  })

  it('averages them, and ends with the average', async () => {
    const optimizer = await compile(kept(parameterAverage(sgd({ learningRate: 1 }), { beta: 0.5 }), 'bf16'), { w: [4] })
    optimizer.writeParameters({ w: [8, 8, 8, 8] })
    for (let step = 0; step < 3; step++) optimizer.step({ gradients: { w: [2, 2, 2, 2] } })
    const { w } = optimizer.evaluationParameters()
    expect(w[0]).toBeGreaterThan(2)
    optimizer.finish()
    expect(Math.abs((await optimizer.readParameters()).w[0]! - w[0]!)).toBeLessThanOrEqual(gapAt(w[0]!, 'bf16') / 2)
  })

  it('refuses what moves parameters within a step, and where someone else has them in float32', async () => {
    await expect(create(sharpnessAware(sgd()))).rejects.toThrow(
      "moves the parameter to points of evaluations and back, which would round it each time; keep it in float32 (parameter 'w'",
    )
    expect(() => build(kept(adamW(), 'bf16'), model)).toThrow("what build writes holds 'w' in float32")
    const device = { limits: {}, lost: new Promise(() => {}), features: new Set() } as unknown as GPUDevice
    await expect(
      compile(kept(adamW(), 'bf16'), model, { backend: webgpu({ device, attached: true }) }),
    ).rejects.toThrow(
      "webgpu: attached parameters are in float32: leave out 'parameters' of quantized for 'w', or attached",
    )
  })

  it('leaves parameters that are named in float32; of two wrappers the inner one has its way', async () => {
    const inner = quantized(adamW(), { storage: 'float32', minimumSize: 0, parameters: 'bf16+byte', float32: 'small' })
    const optimizer = await compile(kept(inner, 'bf16'), model)
    const names = [...new TextDecoder().decode(optimizer.save()).matchAll(/"(parameters\/[^"]*)":/g)].map(
      ([, name]) => name,
    )
    expect(names).toEqual(['parameters/w as bfloat16AndByte', 'parameters/small'])
  })
})
