import {
  adafactor,
  adamW,
  cautious,
  clipByGlobalNorm,
  clipByValue,
  compile,
  cosine,
  fusedBackward,
  groups,
  lookahead,
  mezo,
  reference,
  sgd,
  soap,
  sophiaH,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { differentByte, snapshot, touched } from './support/compare.ts'
import { deferred } from './support/deferred.ts'
import { smallModel } from './support/models.ts'
import { copyAll, fillAll, randomNumbers } from './support/random.ts'
import { registry } from './support/variants.ts'

const names = Object.keys(smallModel)

describe('fusedBackward', () => {
  it.each([
    ['LOMO', () => clipByValue(sgd({ learningRate: cosine({ from: 0.1, to: 0, steps: 9 }), decay: 'decoupled' }))],
    ['AdaLOMO', () => adafactor()],
    ['AdamW', () => adamW()],
    ['cautious AdamW with lookahead', () => lookahead(cautious(adamW()), { period: 2 })],
    ['SOAP', () => soap()],
  ] as const)('takes the steps of step to the bit: %s', async (_, make) => {
    for (const backend of [wasm, reference]) {
      const together = await compile(make(), smallModel, { backend: backend(), telemetry: true })
      const single = await compile(make(), smallModel, { backend: backend(), telemetry: true, gradients: 'oneAtATime' })
      fillAll(together.parameters, randomNumbers(1))
      copyAll(together.parameters, single.parameters)
      for (let step = 1; step <= 5; step++) {
        fillAll(together.gradients, randomNumbers(10 + step))
        const missing = step === 3 ? ['bias'] : []
        const expected = together.step({ without: missing })
        const fused = fusedBackward(single)
        for (const name of names.toReversed()) {
          if (missing.includes(name)) continue
          // An array that is overwritten afterwards.
          const gradient = Float64Array.from(together.gradients[name]!)
          fused.update(name, gradient)
          gradient.fill(Number.NaN)
        }
        const found = fused.end()
        expect(found.step).toBe(step)
        for (const name of names) expect(found.telemetry![name]).toEqual(expected.telemetry![name])
      }
      expect(differentByte(single.save(), together.save())).toBe(-1)
    }
  })

  it('needs room for the largest gradient alone', async () => {
    const shapes = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`layer ${index}`, [512, 512]] as const))
    const bytesOf = async (gradients: 'together' | 'oneAtATime') => {
      const { parameters } = await compile(sgd(), shapes, { gradients })
      return parameters['layer 0']!.buffer.byteLength
    }
    const saved = (await bytesOf('together')) - (await bytesOf('oneAtATime'))
    const gradient = 512 * 512 * 4
    expect(saved / gradient).toBeGreaterThan(6.8)
    expect(saved / gradient).toBeLessThan(7.5)
  })

  it('takes numbers and arrays besides gradients', async () => {
    const together = await compile(sophiaH({ hessianPeriod: 1 }), smallModel)
    const single = await compile(sophiaH({ hessianPeriod: 1 }), smallModel, { gradients: 'oneAtATime' })
    fillAll(together.gradients, randomNumbers(3))
    const [input] = Object.keys(together.needs) as [string]
    const arrays = Object.fromEntries(names.map((name) => [name, together.gradients[name]!.map(Math.abs)]))
    together.step({ inputs: { [input]: arrays } })
    const fused = fusedBackward(single, { inputs: { [input]: arrays } })
    for (const name of names) fused.update(name, together.gradients[name]!)
    fused.end()
    expect(differentByte(single.save(), together.save())).toBe(-1)
  })

  it('leaves a parameter untouched whose gradient is not finite', async () => {
    for (const nonFinite of ['throw', 'skip'] as const) {
      const optimizer = await compile(adamW(), { a: [2], b: [2] }, { gradients: 'oneAtATime', nonFinite })
      const before = snapshot(optimizer)
      const fused = fusedBackward(optimizer)
      const wrong = () => fused.update('a', [1, Number.NaN])
      if (nonFinite === 'throw') expect(wrong).toThrow("step 1: the gradient of 'a' is not finite")
      else wrong()
      expect(touched(optimizer, before)).toEqual([])
      fused.update('b', [1, 2])
      expect(fused.end()).toEqual({ step: 1, skipped: false, nonFinite: nonFinite === 'skip' ? ['a'] : [] })
      expect(Array.from(optimizer.parameters.a)).toEqual([0, 0])
      expect(optimizer.parameters.b[0]).not.toBe(0)
    }
  })

  it('lets nothing else be done until it has ended', async () => {
    const optimizer = await compile(adamW(), { a: [2], b: [2] }, { gradients: 'oneAtATime' })
    const fused = fusedBackward(optimizer)
    const busy = 'fusedBackward has begun a step; end() it first'
    expect(() => fusedBackward(optimizer)).toThrow(busy)
    expect(() => optimizer.save()).toThrow(busy)
    expect(() => optimizer.set({ learningRate: 1 })).toThrow(busy)
    expect(() => fused.update('a', [1])).toThrow("update: 'a' has shape [2], so 2 elements, not 1")
    expect(() => fused.update('c' as 'a', [1])).toThrow("update: unknown parameter 'c'; there are a, b")
    fused.update('a', [1, 2])
    expect(() => fused.update('a', [1, 2])).toThrow("update: 'a' has been updated in this step")
    fused.end()
    expect(() => fused.update('b', [1, 2])).toThrow('this step has ended')
    expect(() => fused.end()).toThrow('this step has ended')
    expect(optimizer.steps).toBe(1)
  })

  it('says what other steps need', async () => {
    const optimizer = await compile(adamW(), { a: [2] }, { gradients: 'oneAtATime' })
    const instead =
      "this optimizer was compiled with gradients: 'oneAtATime'; take a step with fusedBackward(optimizer)"
    expect(() => optimizer.step()).toThrow(`step: ${instead}`)
    expect(() => optimizer.gradients.a).toThrow(`gradients: ${instead}`)
    expect(() => optimizer.attach({ gradients: { a: [1, 2] } })).toThrow(`attach: ${instead}`)
    await expect(optimizer.minimize(() => 1)).rejects.toThrow(`minimize: ${instead}`)
    const own = [0.5, 1]
    optimizer.attach({ parameters: { a: own } })
    const fused = fusedBackward(optimizer)
    fused.update('a', [1, 1])
    fused.end()
    expect(own[0]).toBeLessThan(0.5)
    await expect(compile(sgd(), { a: [1] }, { gradients: 'one' as never })).rejects.toThrow(
      'compile: gradients must be together or oneAtATime, not one',
    )
    const begin = async (make: Parameters<typeof compile>[0], options = {}) =>
      fusedBackward(await compile(make, smallModel, options))
    await expect(begin(clipByGlobalNorm(sgd()))).rejects.toThrow('this optimizer sums over all parameters')
    await expect(begin(mezo())).rejects.toThrow('evaluates the model at points of its own')
    await expect(begin(sgd(), { backend: deferred() })).rejects.toThrow('keeps parameters and state on a device')
    const frozen = await compile(groups(sgd(), [{ match: 'b', frozen: true }]), { a: [1], b: [1] })
    expect(() => fusedBackward(frozen).update('b', [1])).toThrow("the parameter 'b' is frozen")
  })

  it('serves most optimizers', async () => {
    const served = await Promise.all(
      registry.map(async (factory) => {
        try {
          fusedBackward(await compile(factory(), { a: [4, 3] }, { backend: reference() }))
          return true
        } catch (error) {
          expect(String(error)).toMatch(/sums over all parameters|points of its own/)
          return false
        }
      }),
    )
    expect(served.filter(Boolean).length).toBeGreaterThan(0.7 * registry.length)
  })
})
