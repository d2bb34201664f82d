import { describe, expect, test } from 'vitest'
import { choice, float, shiwa, space, variant } from '../../src/index.ts'
import { choiceOf } from '../../src/samplers/shiwa.ts'
import { least, run, sphere } from '../support/evolution-functions.ts'

const numbers = (n: number) =>
  space(Object.fromEntries(Array.from({ length: n }, (_, index) => [`x${index}`, float(-1, 2)])))
const one = [{ name: 'loss', direction: 'minimize' as const }]
const usual = { budget: 200, parallel: 1, noisy: false }
const nested = space({ kind: variant({ a: { x: float(0, 1), y: float(0, 1) }, b: { z: float(0, 1) } }) })
const choices = space({ a: choice([1, 2]), b: choice([1, 2, 3]), x: float(0, 1) })

describe('shiwa', () => {
  test.each([
    ['cmaEs', numbers(5), usual],
    ['cmaEs', numbers(5), { ...usual, noisy: true }],
    ['lmMaEs', numbers(200), { ...usual, budget: 5000 }],
    ['differentialEvolution', numbers(5), { ...usual, parallel: 30 }],
    ['random', numbers(5), { ...usual, parallel: 100 }],
    ['variableLength', nested, usual],
    ['agingEvolution', choices, usual],
    ['simulatedAnnealing', choices, { ...usual, budget: 30 }],
  ] as const)('chooses %s', (name, each, options) => {
    expect(choiceOf({ space: each, objectives: one }, options).name).toBe(name)
  })

  test('chooses by the number of objectives', () => {
    const names = [2, 3].map(
      (count) => choiceOf({ space: numbers(3), objectives: new Array(count).fill(one[0]) }, usual).name,
    )
    expect(names).toEqual(['nsga2', 'nsga3'])
  })

  test('runs what it chooses, trial by trial as that would', async () => {
    const loss = (values: Readonly<Record<string, number>>) => sphere(Object.values(values))
    const trials = await run(shiwa({ budget: 300 }), numbers(3), loss, { trials: 300 })
    const { name } = choiceOf({ space: numbers(3), objectives: one }, { ...usual, budget: 300 })
    expect((trials[299]!.note as { method: string }).method).toBe(name)
    expect(least(trials)).toBeLessThan(1e-3)
    expect(() => shiwa({ budget: 0 })).toThrow('shiwa: budget must be a whole number from 1, not 0')
  })
})
