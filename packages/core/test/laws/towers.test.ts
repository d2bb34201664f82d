import { compile, findOptimizer, groups, type Optimizer, reference, sgd, wasm } from 'fallline'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differences, snapshot } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { copyAll, fillAll, randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { refuses, registry, tried, wrappers } from '../support/variants.ts'

const names = Object.keys(wrappers)
const towers = fc.record({
  optimizer: fc.constantFrom(...registry.map(({ definition }) => definition.name)),
  other: fc.constantFrom(...registry.map(({ definition }) => definition.name)),
  inside: fc.array(fc.constantFrom(...names), { maxLength: 2 }),
  outside: fc.array(fc.constantFrom(...names), { maxLength: 3 }),
  match: fc.constantFrom('weight', 'kernel', 'none'),
})
type Tower = typeof towers extends fc.Arbitrary<infer T> ? T : never

function build({ optimizer, other, inside, outside, match }: Tower): Optimizer {
  const wrapAll = (list: readonly string[], inner: Optimizer) =>
    list.reduce((made, name) => wrappers[name]!(made), inner)
  const base = wrapAll(inside, tried(findOptimizer(optimizer)))
  const grouped = match === 'none' ? base : groups(base, [{ match, optimizer: tried(findOptimizer(other)) }])
  return wrapAll(outside, grouped)
}

/** The wrappers that say what to evaluate with. */
const averaging = new Set(
  names.filter((name) => {
    const wrapped = wrappers[name]!(sgd())
    return wrapped.kind === 'wrapped' && wrapped.definition.average !== undefined
  }),
)

/** Wrappers that compare the gradient with what the rule makes of it. */
const reading = new Set(['trac', 'mechanize'])

/** What the parts refuse on their own, towers of them refuse too; two averages are one too many. */
function impossible({ optimizer, other, inside, outside, match }: Tower): boolean {
  const all = [...inside, ...outside]
  const averages = all.filter((name) => averaging.has(name)).length
  const first = findOptimizer(optimizer)
  const second = match === 'none' ? first : findOptimizer(other)
  return (
    averages > 1 ||
    all.some((name) => refuses(first, name, 'parameter')) ||
    outside.some((name) => refuses(second, name, 'parameter')) ||
    inside.some((name) => refuses(first, name, 'gradient')) ||
    // A gradient that one part of the model reads, or a wrapper below, is not changed for nothing.
    (!inside.some((name) => reading.has(name)) &&
      outside.some((name) => refuses(first, name, 'gradient') && refuses(second, name, 'gradient')))
  )
}

describe('towers of wrappers and groups', () => {
  it('do on WebAssembly what they do on the reference', async () => {
    await fc.assert(
      fc.asyncProperty(towers, async (tower) => {
        fc.pre(!impossible(tower))
        const optimizer = build(tower)
        const exact = await compile(optimizer, smallModel, { backend: reference() })
        const fast = await compile(optimizer, smallModel, { backend: wasm() })
        fillAll(exact.parameters, randomNumbers(1))
        copyAll(exact.parameters, fast.parameters)
        for (let step = 1; step <= 7; step++) {
          exact.load(fast.save())
          const before = snapshot(exact)
          fillAll(exact.gradients, randomNumbers(step + 1))
          copyAll(exact.gradients, fast.gradients)
          const missing = step === 4 ? { without: ['weight'] } : {}
          await takeStep(exact, missing)
          await takeStep(fast, missing)
          const found = differences(snapshot(fast), snapshot(exact), before, {
            relative: 1e-6,
            scale: 3e-4,
            // Differences of equal gradients: exactly 0 in one, a rounding error in the other.
            absolute: 1.2e-7,
          })
          expect({ step, found }).toEqual({ step, found: [] })
        }
      }),
      {
        numRuns: Number(process.env.FALLLINE_TOWERS ?? (everything ? 60 : 15)),
        seed: Number(process.env.FALLLINE_TOWERS_SEED ?? 4),
      },
    )
  })

  it('that cannot stand say so', async () => {
    await fc.assert(
      fc.asyncProperty(towers, async (tower) => {
        fc.pre(impossible(tower))
        await expect(compile(build(tower), smallModel)).rejects.toThrow(
          /each define what to evaluate with|moves several sequences itself|applies weight decay itself|does not read/,
        )
      }),
      { numRuns: everything ? 20 : 10, seed: 4 },
    )
  })
})
