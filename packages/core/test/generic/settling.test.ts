import { adan, type CompiledOptimizer, compile, sgd, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

const smallestNormal = 2 ** -126

/** How many elements of parameters and state are smaller than normal numbers, but not 0. */
function subnormal(optimizer: CompiledOptimizer): string[] {
  return Object.entries(snapshot(optimizer)).flatMap(([name, values]) => {
    const count = values.filter((value) => value !== 0 && Math.abs(value) < smallestNormal).length
    return values.length > 1 && count > 0 ? [`${count} of ${values.length} in ${name}`] : []
  })
}

const shapes = { weight: [5, 7], bias: [21] }

/** 60 steps with gradients, and then with none. */
async function decay(optimizer: CompiledOptimizer, steps: number): Promise<void> {
  const random = randomNumbers(9)
  for (let step = 0; step < 60; step++) {
    fillAll(optimizer.gradients, random)
    await takeStep(optimizer)
  }
  for (const gradient of Object.values(optimizer.gradients)) gradient.fill(0)
  while (optimizer.steps < steps) await takeStep(optimizer, { loss: 1 })
}

describe('when gradients end', () => {
  const factories = everything ? registry : registry.filter((_, index) => index % 4 === 0)

  it.each(factories.map((factory) => [factory.definition.name, factory] as const))(
    'the moments of %s come to rest at 0, not just above',
    async (_, factory) => {
      // 0.9 to the power of 900 is 1e-41.
      const optimizer = await compile(make(factory), shapes)
      await decay(optimizer, 1024)
      expect(subnormal(optimizer)).toEqual([])
      optimizer.dispose()
    },
  )

  it.each([
    ['sgd', sgd({ momentum: 0.9 })],
    ['adan', adan({ beta1: 0.5, beta2: 0.5, beta3: 0.5 })],
  ] as const)('those of %s are 0 at last', async (_, rule) => {
    for (const threads of [1, 2]) {
      const optimizer = await compile(rule, shapes, { backend: wasm({ threads }) })
      await decay(optimizer, 1024)
      const moments = Object.entries(optimizer.state('weight')).filter(([name]) => name !== 'previous')
      expect(moments.length).toBeGreaterThan(0)
      for (const [name, values] of moments) {
        if (typeof values !== 'number') expect(Math.max(...Array.from(values, Math.abs)), name).toBe(0)
      }
      optimizer.dispose()
    }
  })

  it('leaves normal numbers as they are, to the bit, and what is 0 or not a number', async () => {
    const optimizer = await compile(sgd({ learningRate: 0 }), { x: [11] }, { nonFinite: 'allow' })
    const given = [smallestNormal, -smallestNormal, 1e-39, -1e-45, 0, 1, Number.NaN, -3e38, 1e-38, 3e-39, 2e-38]
    optimizer.parameters.x.set(given)
    while (optimizer.steps < 127) optimizer.step()
    expect([...optimizer.parameters.x]).toEqual([...Float32Array.from(given)])
    optimizer.step()
    expect([...optimizer.parameters.x]).toEqual(
      [...Float32Array.from(given)].map((value) => (Math.abs(value) < smallestNormal ? 0 : value)),
    )
    optimizer.dispose()
  })

  it('goes on from a checkpoint to the bit', async () => {
    const [whole, parts] = await Promise.all([1, 2].map(() => compile(sgd({ momentum: 0.9 }), shapes)))
    await decay(whole!, 1000)
    await decay(parts!, 890)
    const other = await compile(sgd({ momentum: 0.9 }), shapes)
    other.load(parts!.save())
    while (other.steps < 1000) other.step({ gradients: { weight: new Float32Array(35), bias: new Float32Array(21) } })
    expect(changedBits(snapshot(other), snapshot(whole!))).toEqual([])
    for (const optimizer of [whole!, parts!, other]) optimizer.dispose()
  })
})
