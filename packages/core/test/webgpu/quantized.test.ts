import { adamW, compile, lamb, lookahead, type Optimizer, quantized, sgd, wasm } from 'fallline'
import { buffersOf } from 'fallline/webgpu'
import { describe, expect, it } from 'vitest'
import { besideReference, fillGradients, readSnapshot } from '../support/beside-reference.ts'
import { differences, differentByte, notFinite, type Snapshot, snapshot } from '../support/compare.ts'
import { differing, kept as keptParameters, ways as parameterWays } from '../support/kept-parameters.ts'
import { differentState, kept, shapes, tolerance, ways } from '../support/quantized.ts'
import { randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { hasWebgpu, newBackend } from '../support/webgpu.ts'

const factories = { adamW, lamb, sgd }

describe.runIf(hasWebgpu)('state in fewer bits, on WebGPU', () => {
  const cases = Object.keys(ways).flatMap((way) =>
    (['adamW', 'lamb', 'sgd'] as const).map((name) => [way, name] as const),
  )
  it.each(everything ? cases : cases.slice(0, 1))('is what the reference says: %s, %s', async (way, name) => {
    const own = name === 'sgd' ? sgd({ momentum: 0.9 }) : factories[name]()
    const { exact, fast } = await besideReference(kept(own, way), shapes, await newBackend())
    const allowed = tolerance(factories[name])
    const random = randomNumbers(3)
    for (let step = 1; step <= 4; step++) {
      exact.load(await fast.saveAsync())
      const before = snapshot(exact)
      const gradients = fillGradients(exact, random)
      for (const each of [exact, fast]) each.step({ gradients })
      const [expected, actual] = [snapshot(exact), await readSnapshot(fast)]
      const parameters = (all: Snapshot) =>
        Object.fromEntries(Object.entries(all).filter(([key]) => !key.includes(' state ')))
      expect([
        ...notFinite(actual),
        ...differences(parameters(actual), parameters(expected), before, allowed),
        ...differentState(actual, expected, allowed, ways[way]!.gap),
      ]).toEqual([])
    }
    fast.dispose()
  })

  it('is saved and loaded to the bit, in a file that the other backends read', async () => {
    const optimizer = quantized(adamW(), { bits: 8, minimumSize: 0 })
    const { exact, fast } = await besideReference(optimizer, shapes, await newBackend())
    fast.step({ gradients: fillGradients(exact, randomNumbers(4)) })
    const saved = await fast.saveAsync()
    const other = await compile(optimizer, shapes, { backend: wasm() })
    other.load(saved)
    expect(differentByte(other.save(), saved)).toBe(-1)
    fast.load(saved)
    expect(differentByte(await fast.saveAsync(), saved)).toBe(-1)
    fast.dispose()
  })
})

describe.runIf(hasWebgpu).each(parameterWays)('parameters kept as %s, on WebGPU', (way) => {
  const rules: [string, Optimizer][] = [
    ['slow weights, which begin as a copy', lookahead(adamW({ learningRate: 0.01 }), { period: 2 })],
    ['state in 8 bits', quantized(sgd({ learningRate: 0.1, momentum: 0.9 }), { minimumSize: 0 })],
    ['sums', lamb({ learningRate: 0.01 })],
  ]

  it.each(everything ? rules : rules.slice(0, 1))('are what the reference keeps: %s', async (_, rule) => {
    expect(await differing(keptParameters(rule, way), shapes, way, await newBackend())).toEqual([])
  })

  it('are written and read as numbers, and have no buffer of float32', async () => {
    const optimizer = await compile(keptParameters(sgd(), way), { w: [2, 3] }, { backend: await newBackend() })
    const values = [1, -2.5, 2 ** 90, 3e-39, 0.5, 4]
    optimizer.writeParameters({ w: values })
    expect([...(await optimizer.readParameters()).w]).toEqual(values.map((value) => (value === 3e-39 ? 0 : value)))
    expect(() => buffersOf(optimizer)).toThrow("buffersOf: the parameter 'w' is kept as bfloat16")
    optimizer.dispose()
  })
})
