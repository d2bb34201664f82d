import {
  compile,
  describe as describeOptimizer,
  exAdam,
  type Optimizer,
  type OptimizerFactory,
  type QuantizedSettings,
  quantized,
  reference,
  registry,
  type Shapes,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { differences, notFinite, type Snapshot, snapshot, type Tolerance } from '../support/compare.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { everything, meets, metByAll, sample } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { make, refuses, wrappers } from '../support/variants.ts'

/** Rows that begin within blocks, a vector that ends within one, a kernel of which many matrices share a block, and nothing. */
const shapes: Shapes = { matrix: [23, 31], vector: [301], kernel: [8, 4, 3, 3], scalar: [], empty: [0, 4] }

/** The ways to keep state, and what of the largest element of an array lies between two codes. */
const ways: Readonly<Record<string, { readonly settings: QuantizedSettings; readonly gap: number }>> = {
  '8 bits': { settings: { bits: 8 }, gap: 0.0142 },
  '4 bits': { settings: { bits: 4 }, gap: 0.24 },
  bf16: { settings: { storage: 'bf16' }, gap: 2 ** -7 },
  'bf16+byte': { settings: { storage: 'bf16+byte' }, gap: 2 ** -15 },
}

/** As in the comparison of backends with state in float32: what keeps differences of numbers around 1 keeps their rounding. */
const cancelling: Readonly<Record<string, number>> = {
  trac: 1.2e-7,
  mechanize: 1.2e-7,
  orthoGrad: 1.2e-7,
  adaptiveGradientClipping: 1.2e-7,
  stabilizeGradients: 1.2e-7,
  projectOntoSimplex: 1.2e-6,
  'projectOntoSimplex of outputs': 1.2e-6,
}

/** One step from equal numbers. */
function tolerance(factory: OptimizerFactory): Tolerance {
  if (factory === (exAdam as unknown)) return { relative: 4e-7, scale: 4e-5 }
  const { kind } = describeOptimizer(factory)
  return { relative: 1e-6, scale: kind === 'matrix' ? 3e-4 : kind === 'global' ? 6e-5 : 1e-5 }
}

const kept = (optimizer: Optimizer, way: string): Optimizer =>
  quantized(optimizer, { minimumSize: 0, ...ways[way]!.settings })

/** What of the state differs by more than rounding and by more than a code, or in too many places. */
function differentState(actual: Snapshot, expected: Snapshot, allowed: Tolerance, gap: number): string[] {
  const { relative, scale, absolute = 0 } = allowed
  return Object.keys(expected).flatMap((name) => {
    if (!name.includes(' state ')) return []
    const [values, found] = [expected[name]!, actual[name]!]
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const errors = values.map((value, index) => Math.abs(found[index]! - value))
    const limit = (value: number) => relative * Math.abs(value) + scale * largest + absolute
    const others = errors.filter((error, index) => error > limit(values[index]!))
    const worst = Math.max(0, ...others)
    if (worst > gap * largest * 1.01 + absolute) return [`${name}: ${worst} of ${largest}`]
    return others.length > 1 + 0.02 * values.length ? [`${name}: ${others.length} of ${values.length} elements`] : []
  })
}

/** Steps the reference and WebAssembly from the same bytes each time. */
async function compare(optimizer: Optimizer, allowed: Tolerance, gap: number, steps: number): Promise<string[]> {
  const exact = await compile(optimizer, shapes, { backend: reference() })
  const fast = await compile(optimizer, shapes, { backend: wasm() })
  const random = randomNumbers(3)
  fillAll(exact.parameters, randomNumbers(1), 11)
  copyAll(exact.parameters, fast.parameters)
  const own = exact.moves ? { ...allowed, absolute: Math.max(1e-7, allowed.absolute ?? 0) } : allowed
  for (let step = 1; step <= steps; step++) {
    exact.load(fast.save())
    const before = snapshot(exact)
    fillAll(exact.gradients, random, 13)
    copyAll(exact.gradients, fast.gradients)
    await takeStep(exact)
    await takeStep(fast)
    const [expected, actual] = [snapshot(exact), snapshot(fast)]
    const parameters = (all: Snapshot) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !name.includes(' state ')))
    const found = [
      ...notFinite(actual).map((name) => `${name}: not finite`),
      ...differences(parameters(actual), parameters(expected), before, own),
      ...differentState(actual, expected, allowed, gap),
    ]
    if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
  }
  return []
}

describe('every optimizer with its state in fewer bits is what the reference says', () => {
  for (const factory of registry) {
    const { name } = factory.definition
    // What a wrapper does seldom depends on what it wraps.
    const wrapped = metByAll.includes(name)
      ? Object.keys(wrappers).filter((wrap) => everything || meets(wrap, 'quantized', false))
      : []
    const around = ['none', ...wrapped.filter((wrap) => !refuses(factory, wrap))]
    const cases = Object.keys(ways).flatMap((way) => around.map((wrap) => ({ way, wrap })))
    for (const { way, wrap } of sample(name, cases, (one) => `${one.way} ${one.wrap}`)) {
      it(`${name}, ${way}, ${wrap}`, async () => {
        const own = make(factory)
        const wrapped = wrappers[wrap]?.(own) ?? own
        const allowed = { ...tolerance(factory), absolute: cancelling[wrap] ?? 0 }
        expect(await compare(kept(wrapped, way), allowed, ways[way]!.gap, 4)).toEqual([])
      })
    }
  }
})
