import {
  adalite,
  type CompiledOptimizer,
  compile,
  describe as describeOptimizer,
  exAdam,
  type OptimizerFactory,
  ranger25,
  reference,
  registry,
  type Shapes,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { differences, notFinite, snapshot, type Tolerance } from '../support/compare.ts'
import { everyShape, largeVector, smallModel, vectorsOfEverySize } from '../support/models.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { changesOf, make, type Variant, wrappers, wrappersAround } from '../support/variants.ts'

/** Enough for rectification. */
const steps = 8
/** Enough for the first synchronization of a lookahead inside an accumulation. */
const stepsOfWrappers = 4

/**
 * One step from equal numbers. Float32 rounds every operation to 6e-8 of its result; rules chain some ten of them, and
 * subtract averages. Newton-Schulz amplifies what float32 loses in small singular values. EXAdam has m² / (m² + 1e-8), which
 * amplifies what it loses in a small m. Sums over all tensors cancel.
 */
function stepTolerance(factory: OptimizerFactory): Tolerance {
  if (factory === (exAdam as unknown)) return { relative: 4e-7, scale: 4e-5 }
  // Divides twice by what is left of a gradient that is orthogonal to the parameter.
  if (factory === (ranger25 as unknown)) return { relative: 4e-7, scale: 2e-5 }
  // The quotient of sums that cancel.
  if (factory === (adalite as unknown)) return { relative: 4e-7, scale: 6e-4 }
  const { kind } = describeOptimizer(factory)
  // Products over all tensors cancel.
  return { relative: 4e-7, scale: kind === 'matrix' ? 3e-4 : kind === 'global' ? 6e-5 : 4e-6 }
}

/**
 * TRAC and Mechanic keep the difference of two parameters, rounded as these are; OrthoGrad makes products 0; gradients that are limited
 * to the same norm step after step differ by rounding alone, which is what rules that keep differences then keep. What is left
 * above the threshold of a simplex may be far smaller than the numbers it was taken from.
 */
const cancelling: Readonly<Record<string, number>> = {
  trac: 1.2e-7,
  mechanize: 1.2e-7,
  orthoGrad: 1.2e-7,
  adaptiveGradientClipping: 1.2e-7,
  stabilizeGradients: 1.2e-7,
  projectOntoSimplex: 1.2e-6,
  'projectOntoSimplex of outputs': 1.2e-6,
}

/**
 * AdaMuon divides the elements of an orthogonal matrix by their size; those that are 0 but for rounding are told from others by
 * epsilon alone. Powers of singular matrices of Shampoo are as large as its epsilon is small. Adalite's sums over rows cancel where
 * its weights are even. FOCUS takes signs of differences from an average. The ranks are less than the sides of the matrices;
 * Subspace-Momentum divides what is 0 but for the rounding of a projection by the root of a square that is 0.
 */
const settingsFor: Readonly<Record<string, Variant['settings']>> = {
  adaMuon: { epsilon: 1e-3 },
  adalite: { temperature: 3e-3 },
  alice: { rank: 2 },
  apolloAdamW: { rank: 2 },
  dion: { rank: 2 },
  distributedShampoo: { epsilon: 1e-3, blockSize: 32 },
  fira: { rank: 2 },
  focus: { gamma: 0.01 },
  gaLore: { rank: 2 },
  grass: { rank: 2 },
  shampoo: { epsilon: 1e-3 },
  subspaceMomentum: { rank: 2, epsilon: 1e-2 },
}

/**
 * Eight steps on their own: the roundings of all of them, carried on. Prodigy begins with steps of 1e-6, of which float32
 * rounds away some percent beside a parameter of 1, and keeps the sum.
 */
const runTolerance: Tolerance = { relative: 4e-6, scale: 1e-2 }

/** Rules whose first basis is one of many where the gradient has less than full rank, and decides the steps after. */
const freeBasis = ['cosmos', 'soap', 'sPlus']

/**
 * True where the first step's rounding says what comes of equal eigenvalues: their ranks, of statistics that begin as a multiple of I, and
 * the vectors of those that are 0.
 */
const freeRanks = ({ spreads }: Variant['settings']): boolean => spreads === true

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
  const own = make(factory, { ...settingsFor[factory.definition.name], ...settings })
  const optimizer = wrappers[wrap]?.(own) ?? own
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
    expect(await run(await pair(factory, {}, vectorsOfEverySize), tolerance, true)).toEqual([])
  })

  it.runIf(meets('beyond one chunk', name))('does so beyond one chunk of work', async () => {
    expect(await run(await pair(factory, {}, largeVector), tolerance, true, 2, 2)).toEqual([])
  })

  it('does so for every class of shape', async () => {
    expect(await run(await pair(factory, {}, everyShape), tolerance, true)).toEqual([])
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
