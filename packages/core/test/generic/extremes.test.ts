import { adamW, compile, type OptimizerFactory, reference, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import * as transforms from '../../src/transforms/index.ts'
import { notFinite, snapshot } from '../support/compare.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

const shapes = { matrix: [3, 4], vector: [5], scalar: [] }

const rules = [
  ...registry.map((factory) => [factory.definition.name, factory, () => factory()] as const),
  ...Object.values(transforms).map(
    (wrap) => [`${wrap.definition.name}, around adamW`, undefined, () => wrap(adamW())] as const,
  ),
]

describe.each(rules)('%s', (_, factory, create) => {
  it.each(everything ? [1e-30, 1e-35, 1e-38, 1e-39, 1e-42, 1.5e-45] : [1e-38, 1.5e-45])(
    'stays finite when all gradients are %d',
    async (size) => {
      const optimizer = await compile(create(), shapes, { backend: wasm() })
      fillAll(optimizer.parameters, randomNumbers(1))
      for (let step = 1; step <= 4; step++) {
        for (const gradient of Object.values(optimizer.gradients)) {
          gradient.forEach((_, index) => {
            gradient[index] = (index + step) % 2 === 0 ? size : -size
          })
        }
        await takeStep(optimizer)
        expect(notFinite(snapshot(optimizer))).toEqual([])
      }
    },
  )

  const epsilons = Object.keys(factory?.definition.hyper ?? {}).filter((name) => /epsilon/i.test(name))
  it.runIf(epsilons.length > 0).each([
    ['wasm', wasm],
    ['reference', reference],
  ])('takes an epsilon of 0 and gradients of 0 on %s', async (_, backend) => {
    const settings = Object.fromEntries(epsilons.map((name) => [name, 0]))
    const optimizer = await compile(make(factory as OptimizerFactory, settings), shapes, { backend: backend() })
    fillAll(optimizer.parameters, randomNumbers(1))
    for (let step = 1; step <= 6; step++) {
      for (const gradient of Object.values(optimizer.gradients)) gradient.fill(step < 4 ? 0 : 0.5)
      await takeStep(optimizer)
      expect(notFinite(snapshot(optimizer))).toEqual([])
    }
  })
})
