import * as fallline from 'fallline'
import {
  adamW,
  cautious,
  compile,
  cosine,
  defineOptimizer,
  type HyperValue,
  lion,
  logUniform,
  lookahead,
  muon,
  oneOf,
} from 'fallline'
import { describe, expect, test } from 'vitest'
import { chosenOptimizer, float, openStudy, optimizerChoice, space, variant } from '../src/index.ts'

describe('a space over optimizers', () => {
  test('has the ranges that each declares, and makes what a trial chose', async () => {
    const factories = { adamW, lion, muon }
    const training = space({ optimizer: optimizerChoice(factories) })
    const learningRate = training.dimensions.find(({ name }) => name === 'optimizer.adamW.learningRate')!
    const { minimum, maximum } = adamW.definition.search.learningRate as { minimum: number; maximum: number }
    expect(learningRate.domain).toMatchObject({ minimum, maximum, scale: 'log' })
    const study = await openStudy({ space: training, seed: 1 })
    const kinds = new Set<string>()
    await study.optimize(
      async ({ parameters }) => {
        kinds.add(parameters.optimizer.kind)
        const optimizer = await compile(chosenOptimizer(factories, parameters.optimizer), { w: [2, 2] })
        optimizer.gradients.w.set([1, -1, 1, -1])
        optimizer.step()
        expect(optimizer.parameters.w[0]).toBeLessThan(0)
        return optimizer.parameters.w[0]!
      },
      { trials: 12 },
    )
    expect([...kinds].sort()).toEqual(['adamW', 'lion', 'muon'])
    expect(() => chosenOptimizer(factories, { kind: 'sgd' })).toThrow(
      "there is no optimizer 'sgd' among adamW, lion, muon",
    )
  })

  test('has optimizers, wrappers and schedules of your own as categories like any other', async () => {
    const signed = defineOptimizer({
      ...lion.definition,
      name: 'signed',
      hyper: { ...lion.definition.hyper },
      search: { ...lion.definition.search, learningRate: logUniform(0.01, 0.02) },
    })
    const choices = {
      signed,
      careful: {
        optimizer: ({ period, ...hyper }: Record<string, HyperValue>) =>
          lookahead(cautious(adamW(hyper)), { period: period as number }),
        search: { learningRate: logUniform(0.001, 0.1), period: oneOf(2, 5) },
      },
    }
    const training = space({
      optimizer: optimizerChoice(choices),
      schedule: variant({ constant: {}, cosine: { last: float(0, 0.5) } }),
    })
    expect(training.dimensions.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['optimizer.signed.learningRate', 'optimizer.careful.period', 'schedule.cosine.last']),
    )
    const study = await openStudy({ space: training, seed: 2 })
    const seen = new Set<string>()
    await study.optimize(
      async ({ parameters: { optimizer, schedule } }) => {
        seen.add(`${optimizer.kind} ${schedule.kind}`)
        const from = optimizer.learningRate as number
        const learningRate = schedule.kind === 'cosine' ? cosine({ from, to: schedule.last * from, steps: 4 }) : from
        const compiled = await compile(chosenOptimizer(choices, optimizer, { learningRate }), { w: [2, 2] })
        for (let step = 0; step < 4; step++) {
          compiled.gradients.w.set([1, 2, 3, 4])
          compiled.step()
        }
        const moved = compiled.parameters.w[0]!
        compiled.dispose()
        expect(moved).toBeLessThan(0)
        return moved
      },
      { trials: 16 },
    )
    expect(seen).toEqual(new Set(['signed constant', 'signed cosine', 'careful constant', 'careful cosine']))
  })

  test('takes the whole registry', () => {
    const factories = Object.fromEntries(
      Object.entries(fallline).filter(
        ([, value]) => typeof value === 'function' && 'definition' in value && 'search' in (value.definition as object),
      ),
    ) as Parameters<typeof optimizerChoice>[0]
    const registry = space({ optimizer: optimizerChoice(factories) })
    expect(Object.keys(factories).length).toBeGreaterThan(100)
    expect(registry.dimensions[0]!.domain).toMatchObject({ kind: 'choice', values: Object.keys(factories) })
  })
})
