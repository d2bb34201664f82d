import {
  adamW,
  type CompiledOptimizer,
  compile,
  lamb,
  type Optimizer,
  type QuantizedSettings,
  quantized,
  type Shapes,
  scheduleFree,
  wasm,
} from 'fallline'
import { build } from 'fallline/build'
import * as runtime from 'fallline/runtime'
import { load, type RunningOptimizer, save } from 'fallline/runtime'
import { describe, expect, it } from 'vitest'
import { differentByte } from '../support/compare.ts'
import { matrixAndVector, smallModel } from '../support/models.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { another, everything, meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { changesOf, make, registry, wrappers, wrappersAround } from '../support/variants.ts'

/** What the module that `build` writes starts. */
async function startBuilt(optimizer: Optimizer, shapes: Shapes, telemetry: boolean): Promise<RunningOptimizer> {
  const { code } = build(optimizer, shapes, { telemetry })
  const body = code.replaceAll(/^import .*$/gm, '').replace('export const create = ', 'return ')
  const names = { ...runtime }
  return new Function(...Object.keys(names), body)(...Object.values(names))()
}

/** Steps both with the same gradients, from the same parameters. */
async function stepBoth(compiled: CompiledOptimizer, built: RunningOptimizer, steps: number): Promise<void> {
  for (let step = 1; step <= steps; step++) {
    fillAll(compiled.gradients, randomNumbers(100 * compiled.steps + step))
    copyAll(compiled.gradients, built.gradients)
    const without = step === 2 ? [compiled.names[0]!] : []
    expect(await takeStep(built, { without })).toEqual(await takeStep(compiled, { without }))
  }
  expect(built.evaluationParameters()).toEqual(compiled.evaluationParameters())
  expect(differentByte(save(built), compiled.save())).toBe(-1)
}

async function expectEqual(optimizer: Optimizer, shapes = smallModel, telemetry = false): Promise<void> {
  const compiled = await compile(optimizer, shapes, { telemetry, backend: wasm({ fusedMultiplyAdd: false }) })
  const built = await startBuilt(optimizer, shapes, telemetry)
  fillAll(compiled.parameters, randomNumbers(7))
  copyAll(compiled.parameters, built.parameters)
  await stepBoth(compiled, built, 4)
  // A checkpoint of one goes on in the other.
  const bytes = compiled.save()
  await stepBoth(compiled, built, 1)
  compiled.load(save(built))
  load(built, bytes)
  expect(built.steps).toBe(4)
  compiled.load(bytes)
  await stepBoth(compiled, built, 3)
}

/** One whose inputs have dimensions of their own is always among them. */
const met = registry.filter(({ definition: { name } }) => name === 'kfac' || meets('built ahead', name))

describe.each(met.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  it('built ahead takes the same steps to the bit, and its checkpoints are the same', async () => {
    await expectEqual(factory(), smallModel, true)
    if (!everything) return
    for (const { settings } of changesOf(factory)) await expectEqual(make(factory, settings), matrixAndVector)
    for (const wrapper of another('built ahead', name, wrappersAround(factory)))
      await expectEqual(wrappers[wrapper]!(factory()), matrixAndVector)
  })
})

const ways: readonly QuantizedSettings[] = [
  { bits: 8 },
  { bits: 4 },
  { storage: 'bf16', seed: 3 },
  { storage: 'bf16+byte' },
]

describe.each(ways)('%j', (settings) => {
  it.each(['adamW', 'lamb', 'schedule-free'])(
    'state of %s in fewer bits, built ahead: the same to the bit',
    async (name) => {
      const rules: Readonly<Record<string, () => Optimizer>> = {
        adamW,
        lamb,
        'schedule-free': () => scheduleFree(adamW()),
      }
      await expectEqual(quantized(rules[name]!(), { minimumSize: 0, ...settings }))
    },
  )
})
