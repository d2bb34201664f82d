import {
  adamW,
  compile,
  lamb,
  lookahead,
  microAdam,
  type Optimizer,
  quantized,
  reference,
  type Shapes,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { differences, differentByte, notFinite, type Snapshot, snapshot, type Tolerance } from '../support/compare.ts'
import { differentState, kept, shapes, tolerance, ways } from '../support/quantized.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { everything, meets, metByAll, sample } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { cancelling } from '../support/tolerances.ts'
import { make, refuses, registry, wrappers } from '../support/variants.ts'

/** Steps the reference and WebAssembly from the same bytes each time. */
async function compare(optimizer: Optimizer, allowed: Tolerance, gap: number, steps: number): Promise<string[]> {
  const exact = await compile(optimizer, shapes, { backend: reference() })
  const fast = await compile(optimizer, shapes, { backend: wasm() })
  const random = randomNumbers(3)
  fillAll(exact.parameters, randomNumbers(1), 11)
  copyAll(exact.parameters, fast.parameters)
  const own = exact.moves ? { ...allowed, absolute: Math.max(1e-7, allowed.absolute ?? 0) } : allowed
  for (let step = 1; step <= steps; step++) {
    exact.load(fast.save())
    const before = snapshot(exact)
    fillAll(exact.gradients, random, 13)
    copyAll(exact.gradients, fast.gradients)
    await takeStep(exact)
    await takeStep(fast)
    const [expected, actual] = [snapshot(exact), snapshot(fast)]
    const parameters = (all: Snapshot) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !name.includes(' state ')))
    const found = [
      ...notFinite(actual).map((name) => `${name}: not finite`),
      ...differences(parameters(actual), parameters(expected), before, own),
      ...differentState(actual, expected, allowed, gap),
    ]
    if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
  }
  return []
}

describe('every optimizer with its state in fewer bits is what the reference says', () => {
  for (const factory of registry.filter(({ definition }) => meets('fewer bits', definition.name))) {
    const { name } = factory.definition
    // What a wrapper does seldom depends on what it wraps.
    const wrapped = metByAll.includes(name)
      ? Object.keys(wrappers).filter((wrap) => everything || meets(wrap, 'quantized', false))
      : []
    const around = ['none', ...wrapped.filter((wrap) => !refuses(factory, wrap))]
    const cases = Object.keys(ways).flatMap((way) => around.map((wrap) => ({ way, wrap })))
    for (const { way, wrap } of sample(name, cases, (one) => `${one.way} ${one.wrap}`)) {
      it(`${name}, ${way}, ${wrap}`, async () => {
        // Powers of singular matrices are as large as Shampoo's epsilon is small; those of a whole vector take the reference long.
        const small = name === 'distributedShampoo' ? { blockSize: 32 } : {}
        const own = make(factory, /shampoo/i.test(name) ? { epsilon: 1e-3, ...small } : {})
        const wrapped = wrappers[wrap]?.(own) ?? own
        const allowed = { ...tolerance(factory), absolute: cancelling[wrap] ?? 0 }
        expect(await compare(kept(wrapped, way), allowed, ways[way]!.gap, 4)).toEqual([])
      })
    }
  }
})

describe('state in fewer bits', () => {
  const model: Shapes = { matrix: [300, 301], thin: [3, 30_001], tall: [30_001, 3], vector: [70_001] }

  async function trained(way: string, threads: number, rule: Optimizer = lamb()): Promise<Uint8Array> {
    const optimizer = await compile(kept(rule, way), model, { backend: wasm({ threads }) })
    const random = randomNumbers(5)
    fillAll(optimizer.parameters, randomNumbers(1), 11)
    for (let step = 1; step <= 3; step++) {
      fillAll(optimizer.gradients, random, 13)
      optimizer.step()
    }
    const bytes = optimizer.save()
    optimizer.dispose()
    return bytes
  }

  it.each(Object.keys(ways))('%s: any number of threads gives the same bytes', async (way) => {
    for (const rule of [lamb(), adamW()]) {
      expect(differentByte(await trained(way, 2, rule), await trained(way, 1, rule))).toBe(-1)
    }
  })

  it.each(['float32', 'bf16', 'bf16+byte'] as const)(
    '8 bits: encoded in turns as by themselves, where sums are taken, with parameters in %s',
    async (parameters) => {
      const rule = quantized(adamW({ learningRate: 0.1 }), { minimumSize: 0, bits: 8, parameters })
      const sizes: Shapes = { whole: [1024], rest: [70_001], less: [100], one: [256] }
      const all = await Promise.all(
        [false, true].map((telemetry) => compile(rule, sizes, { telemetry, nonFinite: 'allow' })),
      )
      const random = randomNumbers(7)
      for (let step = 1; step <= 4; step++) {
        const odd = [Number.NaN, Number.POSITIVE_INFINITY, 1e30, 0, 1e-30]
        for (const name of Object.keys(sizes)) {
          const numbers = Float32Array.from({ length: sizes[name]![0]! }, () => random() * 10 ** (6 * random() - 3))
          // Blocks of nothing but zeros, of tiny numbers, and one with what is not finite.
          numbers.fill(0, 256, 512).fill(1e-25, 512, 768)
          if (name !== 'one') numbers.set(odd, 20 * step)
          for (const { gradients } of all) gradients[name]!.set(numbers)
        }
        for (const optimizer of all) optimizer.step()
        const [plain, summed] = all.map((optimizer) => optimizer.save())
        expect(differentByte(plain!, summed!)).toBe(-1)
      }
      for (const optimizer of all) optimizer.dispose()
    },
  )

  it.each(Object.keys(ways))(
    '%s: a checkpoint brings back the same bytes, and the same steps after it',
    async (way) => {
      const bytes = await trained(way, 1)
      const [again, other] = await Promise.all([compile(kept(lamb(), way), model), compile(kept(lamb(), way), model)])
      for (const optimizer of [again, other]) optimizer.load(bytes)
      expect(differentByte(again.save(), bytes)).toBe(-1)
      for (const optimizer of [again, other]) {
        fillAll(optimizer.gradients, randomNumbers(9), 13)
        optimizer.step()
      }
      expect(differentByte(again.save(), other.save())).toBe(-1)
      for (const optimizer of [again, other]) optimizer.dispose()
    },
  )

  it('refuses a checkpoint of another storage, says which, and begins anew where that is asked for', async () => {
    const eight = await compile(quantized(adamW(), { bits: 8 }), { w: [64, 64] })
    const four = await compile(quantized(adamW(), { bits: 4 }), { w: [64, 64] })
    eight.gradients.w.fill(1)
    eight.step()
    const before = four.save()
    expect(() => four.load(eight.save())).toThrow(
      /lacks 'state\/w\/adamW\.m as dynamic4'; it holds .*state\/w\/adamW\.m as dynamic8/,
    )
    expect(differentByte(four.save(), before)).toBe(-1)
    const { taken, missing } = four.load(eight.save(), { take: 'fitting' })
    expect(taken).toEqual(['parameters/w'])
    expect(missing).toContain('state/w/adamW.m as dynamic4')
    expect((four.state('w').m as Float32Array).every((value) => value === 0)).toBe(true)
  })

  it('takes what it should in memory: 8 bits at most 27 % of float32, 4 bits at most 15 %', async () => {
    const shapes = { w: [2048, 2048] }
    const [empty, full, eight, four] = await Promise.all(
      [sgd(), adamW(), quantized(adamW(), { bits: 8 }), quantized(adamW(), { bits: 4 })].map(async (rule) => {
        const optimizer = await compile(rule, shapes)
        const { byteLength } = optimizer.parameters.w!.buffer
        optimizer.dispose()
        return byteLength
      }),
    )
    // All that lies in the memory beside parameters and gradients: tables and copies too.
    expect((eight! - empty!) / (full! - empty!)).toBeLessThan(0.27)
    expect((four! - empty!) / (full! - empty!)).toBeLessThan(0.15)
  })

  it('keeps what a rule itself keeps in four bits so, whatever is around', async () => {
    const shapes = { w: [1024, 1024] }
    const sizes = await Promise.all(
      [sgd(), adamW(), microAdam(), quantized(microAdam())].map(async (rule) => {
        const optimizer = await compile(rule, shapes)
        const { length } = optimizer.save()
        optimizer.dispose()
        return length
      }),
    )
    const [empty, full, micro, both] = sizes.map((size) => size - sizes[0]!)
    expect(empty).toBe(0)
    // 8 bytes an element; half a byte for the error, 8 for each of 10 times 1 %.
    expect(full! / 2 ** 20).toBeCloseTo(8, 1)
    expect(micro! / 2 ** 20).toBeCloseTo(1.3, 1)
    expect(both).toBe(micro)
  })

  it('leaves small arrays, named parameters and copies of parameters in float32', async () => {
    const shapes = { small: [4095], large: [4096], embedding: [64, 64], 'a/b': [64, 64] }
    const rule = lookahead(quantized(adamW(), { float32: /^emb/ }))
    const optimizer = await compile(quantized(rule, { storage: 'bf16', float32: 'a/*' }), shapes)
    optimizer.step()
    const text = new TextDecoder().decode(optimizer.save())
    const names = [...text.matchAll(/"state\/([^"]*)"/g)].map(([, name]) => name)
    expect(names.filter((name) => name!.includes(' as ')).sort()).toEqual([
      'a/b/lookahead/adamW.m as dynamic8',
      'a/b/lookahead/adamW.v as unsignedDynamic8',
      'large/lookahead/adamW.m as dynamic8',
      'large/lookahead/adamW.v as unsignedDynamic8',
    ])
    expect(names).toContain('large/lookahead.slow')
  })

  it('keeps the step short where a second moment would vanish beside a first moment', async () => {
    for (const bits of [8, 4] as const) {
      const optimizer = await compile(quantized(adamW({ learningRate: 0.01 }), { bits, minimumSize: 0 }), {
        w: [4, 64],
      })
      // The root of the smallest code is far above the small gradients' own.
      optimizer.gradients.w.fill(1e-6)
      optimizer.gradients.w.fill(10, 0, 3)
      optimizer.step()
      optimizer.gradients.w.fill(0)
      const before = Float32Array.from(optimizer.parameters.w)
      for (let step = 0; step < 20; step++) optimizer.step()
      const moved = optimizer.parameters.w.map((value, index) => Math.abs(value - before[index]!))
      expect(Math.max(...moved)).toBeLessThan(20 * 0.01)
      optimizer.dispose()
    }
  })

  it('refuses settings that make no sense', () => {
    expect(() => quantized(adamW(), { bits: 6 as 8 })).toThrow('Quantized state: bits must be 8 or 4, not 6')
    expect(() => quantized(adamW(), { bits: 4, storage: 'bf16' })).toThrow(
      "Quantized state: bits: 4 needs storage 'blocks', not 'bf16'",
    )
    expect(() => quantized(adamW(), { minimumSize: -1 })).toThrow(
      'Quantized state: minimumSize must be a whole number from 0 up',
    )
    expect(() => quantized(adamW(), { storage: 'half' as 'bf16' })).toThrow(
      'Quantized state: storage must be one of blocks, bf16, bf16+byte, float32, not half',
    )
  })
})
