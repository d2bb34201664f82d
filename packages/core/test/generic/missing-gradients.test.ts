import {
  accumulateGradients,
  type Backend,
  type CompiledOptimizer,
  clipByGlobalNorm,
  compile,
  cosine,
  lookahead,
  nero,
  parameterAverage,
  reference,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors } from '../../src/state/safetensors.ts'
import { changedBits, type Snapshot, snapshot, touched } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { draws, lossOf, takeStep } from '../support/step.ts'
import { make, registry, tiesTensors } from '../support/variants.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]
const names = Object.keys(smallModel)

function fill(arrays: CompiledOptimizer['parameters'], seed: number): void {
  for (const [name, array] of Object.entries(arrays)) {
    fillAll({ [name]: array }, randomNumbers(97 * seed + names.indexOf(name)))
  }
}

function of(name: string, values: Snapshot): Snapshot {
  return Object.fromEntries(Object.entries(values).filter(([key]) => key.split(' ')[0] === name))
}

/** The step counts of one parameter, from the header of a checkpoint. */
function countsOf(optimizer: CompiledOptimizer, name: string): unknown {
  const counts: [string, unknown][] = JSON.parse(decodeSafetensors(optimizer.save()).metadata.counts!)
  return counts.find(([key]) => key === `parameters/${name}`)![1]
}

/** The names of state that all tensors share, which goes on with any of them. */
function sharedSlots(optimizer: CompiledOptimizer): string[] {
  const keys = [...decodeSafetensors(optimizer.save()).tensors.keys()]
  return keys.filter((key) => key.startsWith('shared/')).map((key) => key.slice(key.lastIndexOf('.') + 1))
}

const trying = (name: string) => backends.filter(([title]) => meets(`missing gradients on ${title}`, name))
const met = registry.filter(({ definition }) => trying(definition.name).length > 0)

describe.each(met.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  const some = trying(name)
  describe.each(some)('on %s', (_, backend) => {
    const { joint } = factory.definition
    const shares = Object.values(factory.definition.state).some((slot) => slot.scope === 'allTensors')
    const global = tiesTensors(factory) || shares || joint
    const create = (shapes = smallModel) => compile(factory(), shapes, { backend: backend(), nonFinite: 'throw' })

    it.runIf(!joint)('leaves a parameter without gradient as it is: value, state and count', async () => {
      const optimizer = await create()
      fill(optimizer.parameters, 0)
      const shared = sharedSlots(optimizer)
      const ways = [
        { without: ['weight', 'scale'] },
        { gradients: { kernel: optimizer.gradients.kernel!, bias: optimizer.gradients.bias! } },
        { gradients: { ...optimizer.gradients, weight: null, scale: undefined } },
      ]
      for (let step = 1; step <= 9; step++) {
        fill(optimizer.gradients, step)
        if (step % 2 === 1) {
          await takeStep(optimizer)
          continue
        }
        // What stands in the place of a gradient that is missing does not matter.
        optimizer.gradients.weight!.fill(Number.NaN)
        const before = snapshot(optimizer)
        const counts = countsOf(optimizer, 'weight')
        const way = ways[step / 2 - 1] ?? { without: new Set(['weight', 'scale']) }
        expect((await takeStep(optimizer, way)).step).toBe(step)
        const changed = changedBits(snapshot(optimizer), before).filter((key) => !shared.includes(key.split(' ')[2]!))
        const left = touched(optimizer, before).filter((key) => !shared.includes(key.split(' ')[2]!))
        expect(left.filter((key) => /^(weight|scale)/.test(key))).toEqual([])
        expect(changed.filter((key) => key.startsWith('bias'))).not.toEqual([])
        expect(changed.filter((key) => key.startsWith('kernel'))).not.toEqual([])
        expect(countsOf(optimizer, 'weight')).toEqual(counts)
      }
    })

    it('treats the first gradient of a parameter as its first step', async () => {
      const late = await create()
      fill(late.parameters, 0)
      for (let step = 1; step <= 3; step++) {
        fill(late.gradients, 50 + step)
        await takeStep(late, { without: global ? names : ['weight'] })
      }
      const fresh = await create()
      fill(fresh.parameters, 0)
      // Random numbers go by the optimizer's own steps.
      if (draws(factory)) for (let step = 1; step <= 3; step++) await takeStep(fresh, { without: names })
      for (let step = 1; step <= 6; step++) {
        for (const optimizer of [late, fresh]) {
          fill(optimizer.gradients, step)
          await takeStep(optimizer, { loss: lossOf(step) })
        }
      }
      expect(changedBits(of('weight', snapshot(late)), of('weight', snapshot(fresh)))).toEqual([])
      if (!joint) expect(countsOf(late, 'weight')).toEqual(countsOf(fresh, 'weight'))
    })

    it('takes steps without any gradient, which only count', async () => {
      const optimizer = await create()
      fill(optimizer.parameters, 0)
      fill(optimizer.gradients, 1)
      await takeStep(optimizer)
      const before = snapshot(optimizer)
      expect(await takeStep(optimizer, { gradients: {} })).toEqual({ step: 2, skipped: false, nonFinite: [] })
      await takeStep(optimizer, { without: names })
      expect(optimizer.steps).toBe(3)
      expect(touched(optimizer, before)).toEqual([])
      expect(countsOf(optimizer, joint ? 'weight to scale' : 'bias')).toEqual([['', 1]])
    })

    const copies = Object.values(factory.definition.state).some(({ start }) => start === 'parameter')
    it.runIf(copies)('copies the parameter as it is at the first step, not when it was compiled', async () => {
      const first = async (seed?: number) => {
        // Nero's first step carries the parameter onto its constraint.
        const settings = factory === (nero as unknown) ? { constraints: false } : {}
        const optimizer = await compile(make(factory, settings), smallModel, { backend: backend() })
        if (seed !== undefined) fill(optimizer.parameters, seed)
        for (const gradient of Object.values(optimizer.gradients)) gradient.fill(0)
        const before = snapshot(optimizer)
        await takeStep(optimizer)
        return (name: string) => before[name]!.map((value, index) => optimizer.parameters[name]![index]! - value)
      }
      const moved = await first(7)
      const start = await create()
      fill(start.parameters, 7)
      // What moves without gradient is noise, the same from everywhere.
      const noise = draws(factory) ? await first() : undefined
      // Else only weight decay moves anything, by at most the learning rate (LAMB); no copy made before may pull.
      for (const name of names) {
        const expected = noise?.(name)
        const found = moved(name).filter((value, index) => {
          const other = expected?.[index] ?? 0
          return !(Math.abs(value - other) <= 2e-3 * Math.abs(start.parameters[name]![index]!) + 1e-6 * Math.abs(other))
        })
        expect([name, ...found]).toEqual([name])
      }
    })
  })
})

describe('missing gradients', () => {
  it('do not count in a norm over all tensors', async () => {
    const optimizer = await compile(clipByGlobalNorm(sgd({ learningRate: 1 }), { maximumNorm: 1 }), { a: [1], b: [1] })
    optimizer.gradients.b![0] = 4
    optimizer.step({ gradients: { a: [3], b: [4] } })
    optimizer.step({ gradients: { a: [3] } })
    expect([optimizer.parameters.a![0], optimizer.parameters.b![0]]).toEqual([
      Math.fround(Math.fround(-0.6) - 1),
      Math.fround(-0.8),
    ])
  })

  it('leave schedules to go by calls of step', async () => {
    const learningRate = cosine({ from: 1, to: 0, steps: 4 })
    const optimizer = await compile(sgd({ learningRate }), { a: [1] })
    optimizer.step({ gradients: {} })
    optimizer.step({ gradients: { a: [1] } })
    expect(optimizer.parameters.a![0]).toBe(-Math.fround(learningRate.at(2)))
    expect(optimizer.hyper.learningRate).toBe(learningRate.at(2))
  })

  it('leave the period of wrappers to each tensor', async () => {
    const optimizer = await compile(accumulateGradients(sgd({ learningRate: 1 }), { period: 2 }), { a: [1], b: [1] })
    const moves: number[][] = []
    for (const b of [1, null, null, 1, null]) {
      optimizer.step({ gradients: { a: [1], b: b === null ? null : [b] } })
      moves.push([optimizer.parameters.a![0]!, optimizer.parameters.b![0]!])
    }
    expect(moves).toEqual([
      [0, 0],
      [-1, 0],
      [-1, 0],
      [-2, -1],
      [-2, -1],
    ])
  })

  it('keep copies of the parameter from before its own first step', async () => {
    const optimizer = await compile(
      parameterAverage(lookahead(sgd({ learningRate: 1 }), { period: 1, alpha: 0.5 }), { beta: 0.5 }),
      { a: [1], b: [1] },
    )
    optimizer.step({ gradients: { a: [1] } })
    optimizer.parameters.b![0] = 8
    expect(optimizer.evaluationParameters().b![0]).toBe(8)
    optimizer.step({ gradients: { b: [4] } })
    expect(optimizer.parameters.b![0]).toBe(6)
    expect(optimizer.state('b')).toMatchObject({ slow: Float32Array.of(6), average: Float32Array.of(7) })
    expect(optimizer.evaluationParameters().b![0]).toBe(7)
  })
})
