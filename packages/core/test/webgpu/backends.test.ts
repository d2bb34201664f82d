import type { OptimizerFactory, Shapes } from 'fallline'
import { describe, expect, it } from 'vitest'
import { differences, notFinite, type Snapshot, snapshot, type Tolerance } from '../support/compare.ts'
import { everyShape, smallModel, vectorsOfEverySize } from '../support/models.ts'
import { randomNumbers } from '../support/random.ts'
import { everything, meets, sample } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { cancelling, comparable, freeRanks, stepTolerance } from '../support/tolerances.ts'
import { changesOf, registry, type Variant, wrappersAround } from '../support/variants.ts'
import { besideReference, fillGradients, hasWebgpu, readSnapshot } from '../support/webgpu.ts'

const steps = 4

/** Of a vector that is several parameters a device can show no part. */
const chosen = registry.filter(({ definition }) => !definition.joint && meets('on WebGPU', definition.name))

type Pair = Awaited<ReturnType<typeof besideReference>>

const pair = (factory: OptimizerFactory, settings: Variant['settings'], shapes: Shapes, wrap = 'none') =>
  besideReference(comparable(factory, settings, wrap), shapes)

const asSnapshot = (arrays: Readonly<Record<string, ArrayLike<number>>>): Snapshot =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, Float64Array.from(array)]))

/** Steps both with the same gradients; the reference takes each step from where the device stands. */
async function run({ exact, fast }: Pair, tolerance: Tolerance, count = steps, from = 1): Promise<string[]> {
  const random = randomNumbers(2)
  // There and back again parameters are rounded even where the step leaves them.
  const allowed = exact.moves ? { ...tolerance, absolute: 1e-7 } : tolerance
  try {
    for (let step = 1; step <= count; step++) {
      if (step >= from) exact.load(await fast.saveAsync())
      const before = snapshot(exact)
      const gradients = fillGradients(exact, random)
      await takeStep(fast, { gradients })
      if (step < from) continue
      await takeStep(exact, { gradients })
      await fast.settled()
      const [expected, actual] = [snapshot(exact), await readSnapshot(fast)]
      const found = [
        ...notFinite(actual).map((name) => `${name}: not finite`),
        ...differences(actual, expected, before, allowed),
        ...differences(
          asSnapshot(await fast.readEvaluationParameters()),
          asSnapshot(exact.evaluationParameters()),
          before,
          allowed,
        ),
      ]
      if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
    }
    return []
  } finally {
    fast.dispose()
  }
}

describe.runIf(hasWebgpu).each(chosen.map((factory) => [factory.definition.name, factory] as const))(
  '%s',
  (name, factory) => {
    const tolerance = stepTolerance(factory)

    it('gives on WebGPU what the reference gives, for several classes of shape', async () => {
      expect(await run(await pair(factory, {}, smallModel), tolerance)).toEqual([])
    })

    // A driver that computes in software is slow to compile kernels: a share of the optimizers, where all are tried.
    const more = everything && meets('more on WebGPU', name, false)
    it.runIf(more)('does so for every class of shape', async () => {
      expect(await run(await pair(factory, {}, everyShape), tolerance)).toEqual([])
    })

    it.runIf(more)('does so for every size', async () => {
      expect(await run(await pair(factory, {}, vectorsOfEverySize), tolerance, 2)).toEqual([])
    })

    const changes = sample(name, changesOf(factory), ({ title }) => title, false)
    it.runIf(more).each(changes.map(({ title, settings }) => [title, settings] as const))(
      'does so with %s',
      async (_, settings) => {
        const from = freeRanks(settings) ? 2 : 1
        expect(await run(await pair(factory, settings, smallModel), tolerance, 3, from)).toEqual([])
      },
    )

    it.runIf(more).each(sample(name, wrappersAround(factory), (wrap) => wrap, false))(
      'does so within %s',
      async (wrap) => {
        const absolute = cancelling[wrap] ?? 0
        expect(await run(await pair(factory, {}, smallModel, wrap), { ...tolerance, absolute }, 4)).toEqual([])
      },
    )
  },
)
