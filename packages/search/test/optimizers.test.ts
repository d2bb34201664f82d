import * as fallline from 'fallline'
import { adamW, compile, lion, muon } from 'fallline'
import { describe, expect, test } from 'vitest'
import { chosenOptimizer, openStudy, optimizerChoice, space } from '../src/index.ts'

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
