import {
  adafactor,
  type CompiledOptimizer,
  came,
  compile,
  type OptimizerFactory,
  reference,
  type Shapes,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { differences, notFinite, snapshot, type Tolerance } from '../support/compare.ts'
import { everyShape, fewerShapes, largeVector, smallModel, vectorsOfEverySize } from '../support/models.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { cancelling, comparable, freeRanks, stepTolerance } from '../support/tolerances.ts'
import { changesOf, registry, type Variant, wrappersAround } from '../support/variants.ts'

/** Enough for rectification. */
const steps = 8
/** What a size changes is in the first step or in what it leaves for the second; what steps change is tried with every class of shape. */
const stepsOfSizes = 2
/** Enough for the first synchronization of a lookahead inside an accumulation. */
const stepsOfWrappers = 4

/**
 * Eight steps on their own: the roundings of all of them, carried on. Prodigy begins with steps of 1e-6, of which float32
 * rounds away some percent beside a parameter of 1, and keeps the sum.
 */
const runTolerance: Tolerance = { relative: 4e-6, scale: 1e-2 }

/** Rules whose first basis is one of many where the gradient has less than full rank, and decides the steps after. */
const freeBasis = ['cosmos', 'soap', 'sPlus']

interface Pair {
  readonly exact: CompiledOptimizer
  readonly fast: CompiledOptimizer
}

async function pair(
  factory: OptimizerFactory,
  settings: Variant['settings'],
  shapes: Shapes,
  wrap = 'none',
): Promise<Pair> {
  const optimizer = comparable(factory, settings, wrap)
  const exact = await compile(optimizer, shapes, { backend: reference() })
  const fast = await compile(optimizer, shapes, { backend: wasm() })
  fillAll(exact.parameters, randomNumbers(1), 11)
  copyAll(exact.parameters, fast.parameters)
  return { exact, fast }
}

/**
 * Steps both backends with the same gradients. With `together` the reference takes each step from where WebAssembly stands:
 * then one rounding cannot send a rule that looks at signs another way for good. Steps before `from` are not compared.
 */
async function run(
  { exact, fast }: Pair,
  tolerance: Tolerance,
  together: boolean,
  count = steps,
  from = 1,
): Promise<string[]> {
  const random = randomNumbers(2)
  // There and back again parameters are rounded even where the step leaves them.
  const allowed = exact.moves ? { ...tolerance, absolute: 1e-7 } : tolerance
  let before = snapshot(exact)
  for (let step = 1; step <= count; step++) {
    if (together && step >= from) {
      exact.load(fast.save())
      before = snapshot(exact)
    }
    fillAll(exact.gradients, random, 13)
    copyAll(exact.gradients, fast.gradients)
    if (step >= from) await takeStep(exact)
    await takeStep(fast)
    if (step < from) continue
    const [expected, actual] = [snapshot(exact), snapshot(fast)]
    const found = [
      ...notFinite(actual).map((name) => `${name}: not finite`),
      ...differences(actual, expected, before, allowed),
      ...differences(evaluation(fast), evaluation(exact), before, allowed),
    ]
    if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
  }
  return []
}

function evaluation(optimizer: CompiledOptimizer) {
  const entries = Object.entries(optimizer.evaluationParameters())
  return Object.fromEntries(entries.map(([name, array]) => [name, new Float64Array(array)]))
}

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  const tolerance = stepTolerance(factory)

  it('gives on WebAssembly what the reference gives, for every size', async () => {
    const count = meets('every step of every size', name) ? steps : stepsOfSizes
    expect(await run(await pair(factory, {}, vectorsOfEverySize), tolerance, true, count)).toEqual([])
  })

  it.runIf(meets('beyond one chunk', name))('does so beyond one chunk of work', async () => {
    expect(await run(await pair(factory, {}, largeVector), tolerance, true, 2, 2)).toEqual([])
  })

  it('does so for every class of shape', async () => {
    const shapes = meets('every class of shape', name) ? everyShape : fewerShapes
    expect(await run(await pair(factory, {}, shapes), tolerance, true)).toEqual([])
  })

  it.runIf(meets('their own way', name) && !freeBasis.includes(name))(
    'does so when both go their own way',
    async () => {
      expect(await run(await pair(factory, {}, everyShape), runTolerance, false)).toEqual([])
    },
  )

  it.each(changesOf(factory).map(({ title, settings }) => [title, settings] as const))(
    'does so with %s',
    async (_, settings) => {
      const from = freeRanks(settings) ? 2 : 1
      expect(await run(await pair(factory, settings, smallModel), tolerance, true, steps, from)).toEqual([])
    },
  )

  it.each(wrappersAround(factory))('does so within %s', async (wrap) => {
    const absolute = cancelling[wrap] ?? 0
    expect(
      await run(await pair(factory, {}, smallModel, wrap), { ...tolerance, absolute }, true, stepsOfWrappers),
    ).toEqual([])
  })
})

/** Rows that are long enough to go side by side where numbers belong to columns, and some that are left over. */
const longRows: Shapes = { matrix: [75, 300], batch: [2, 9, 290] }

describe.each([adafactor, came].map((factory) => [factory.definition.name, factory as OptimizerFactory] as const))(
  '%s with long rows',
  (_, factory) => {
    it('gives on WebAssembly what the reference gives', async () => {
      expect(await run(await pair(factory, {}, longRows), stepTolerance(factory), true, 3)).toEqual([])
    })

    it('tells the norms that the reference tells', async () => {
      const [expected, actual] = await Promise.all(
        [reference(), wasm()].map(async (backend) => {
          const optimizer = await compile(factory(), longRows, { backend, telemetry: true })
          fillAll(optimizer.parameters, randomNumbers(1), 11)
          fillAll(optimizer.gradients, randomNumbers(2), 13)
          return optimizer.step().telemetry!
        }),
      )
      for (const name of Object.keys(longRows)) {
        for (const norm of ['gradientNorm', 'updateNorm', 'parameterNorm'] as const) {
          expect(Math.abs(actual![name]![norm] / expected![name]![norm] - 1)).toBeLessThan(1e-5)
        }
      }
    })
  },
)
