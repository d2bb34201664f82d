import type { OptimizerFactory, Shapes } from 'fallline'
import { describe, expect, it } from 'vitest'
import { besideReference, differencesOf, type Pair } from '../support/beside-reference.ts'
import type { Tolerance } from '../support/compare.ts'
import { everyShape, smallModel, vectorsOfEverySize } from '../support/models.ts'
import { everything, meets, sample } from '../support/sample.ts'
import { cancelling, comparable, freeRanks, stepTolerance } from '../support/tolerances.ts'
import { changesOf, registry, type Variant, wrappersAround } from '../support/variants.ts'
import { hasWebgpu, newBackend } from '../support/webgpu.ts'

const steps = 4

/** A driver that computes in software is slow to compile kernels: so much of the rest, where all are tried. */
const share = 1 / 24

const chosen = registry.filter(({ definition }) => meets('on WebGPU', definition.name))

const pair = async (factory: OptimizerFactory, settings: Variant['settings'], shapes: Shapes, wrap = 'none') =>
  besideReference(comparable(factory, settings, wrap), shapes, await newBackend())

const run = (both: Pair, tolerance: Tolerance, count = steps, from = 1) => differencesOf(both, tolerance, count, from)

describe.runIf(hasWebgpu).each(chosen.map((factory) => [factory.definition.name, factory] as const))(
  '%s',
  (name, factory) => {
    const tolerance = stepTolerance(factory)

    it('gives on WebGPU what the reference gives, for several classes of shape', async () => {
      expect(await run(await pair(factory, {}, smallModel), tolerance)).toEqual([])
    })

    const more = everything && meets('more on WebGPU', name, false, share)
    it.runIf(more)('does so for every class of shape', async () => {
      expect(await run(await pair(factory, {}, everyShape), tolerance)).toEqual([])
    })

    it.runIf(more)('does so for every size', async () => {
      expect(await run(await pair(factory, {}, vectorsOfEverySize), tolerance, 2)).toEqual([])
    })

    const changes = sample(name, changesOf(factory), ({ title }) => title, false, share)
    it.runIf(more).each(changes.map(({ title, settings }) => [title, settings] as const))(
      'does so with %s',
      async (_, settings) => {
        const from = freeRanks(settings) ? 2 : 1
        expect(await run(await pair(factory, settings, smallModel), tolerance, 3, from)).toEqual([])
      },
    )

    it.runIf(more).each(sample(name, wrappersAround(factory), (wrap) => wrap, false, share))(
      'does so within %s',
      async (wrap) => {
        const absolute = cancelling[wrap] ?? 0
        expect(await run(await pair(factory, {}, smallModel, wrap), { ...tolerance, absolute }, 4)).toEqual([])
      },
    )
  },
)
