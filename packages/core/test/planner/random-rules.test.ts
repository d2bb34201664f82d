import { compile, reference, wasm } from 'fallline'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differences, snapshot } from '../support/compare.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { optimizerOfRecipe, type Recipe, recipes } from '../support/random-rules.ts'
import { everything } from '../support/sample.ts'

/** What differs between the backends when a recipe runs for some steps, each from equal numbers. */
async function differing(recipe: Recipe): Promise<string[]> {
  const optimizer = optimizerOfRecipe(recipe)
  const exact = await compile(optimizer, recipe.shapes, { backend: reference(), telemetry: true })
  const fast = await compile(optimizer, recipe.shapes, { backend: wasm(), telemetry: true })
  const random = randomNumbers(recipe.results[0]!)
  fillAll(exact.parameters, random)
  copyAll(exact.parameters, fast.parameters)
  for (let step = 1; step <= 3; step++) {
    exact.load(fast.save())
    const before = snapshot(exact)
    fillAll(exact.gradients, random, 5)
    copyAll(exact.gradients, fast.gradients)
    const [expected, actual] = [exact.step().telemetry!, fast.step().telemetry!]
    const found = differences(snapshot(fast), snapshot(exact), before, { relative: 1e-4, scale: 2e-5, absolute: 1e-5 })
    for (const [name, { updateNorm }] of Object.entries(expected)) {
      const error = Math.abs(actual[name]!.updateNorm - updateNorm)
      if (!(error <= 1e-4 * updateNorm + 1e-6))
        found.push(`${name}: update norm ${actual[name]!.updateNorm}, not ${updateNorm}`)
    }
    if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
  }
  return []
}

describe('random rules', () => {
  it('do on WebAssembly what they do on the reference', async () => {
    const numRuns = Number(process.env.FALLLINE_RULES ?? (everything ? 150 : 50))
    const seed = Number(process.env.FALLLINE_RULES_SEED ?? 2)
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        expect(await differing(recipe)).toEqual([])
      }),
      { numRuns, seed },
    )
  })
})
