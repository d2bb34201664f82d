import { registry } from 'fallline'
import { describe, expect, it } from 'vitest'
import { meets, metByAll, sample, sampleSize } from './support/sample.ts'
import { changesOf, refuses, wrappers, wrappersAround } from './support/variants.ts'

const cases = Array.from({ length: 26 }, (_, index) => `case ${index}`)
const chosenOf = (optimizer: string, all?: boolean) => sample(optimizer, cases, (one) => one, all)

describe('the sample', () => {
  it('is the same everywhere, in the order of the cases', () => {
    expect(chosenOf('adan', false)).toMatchInlineSnapshot(`
      [
        "case 18",
      ]
    `)
    expect(sample('adan', cases.toReversed(), (one) => one, false)).toEqual(chosenOf('adan', false).toReversed())
  })

  it('is a fortieth, rounded up, and everything where everything is asked for', () => {
    expect([0, 1, 4, 26, 41].map((count) => sampleSize(count, false))).toEqual([0, 1, 1, 1, 2])
    for (const count of [0, 1, 2, 9, 26]) {
      expect(sample('adan', cases.slice(0, count), (one) => one, false)).toHaveLength(sampleSize(count, false))
    }
    expect(sampleSize(26, true)).toBe(26)
    expect(chosenOf('adan', true)).toEqual(cases)
  })

  it('takes each case for about a fortieth of the optimizers, and another one for another case', () => {
    const chosen = registry.map(({ definition }) => new Set(chosenOf(definition.name, false)))
    for (const one of cases) {
      // Some 160 draws of 1 in 26, or all: 6 +- 2.5.
      const share = chosen.filter((set) => set.has(one)).length / registry.length
      expect(share).toBeGreaterThan(0.01)
      expect(share).toBeLessThan(0.2)
    }
  })

  it('has about a fortieth of the optimizers meet what is around rules, other ones for another kind of test', () => {
    const names = registry.map(({ definition }) => definition.name)
    const [threads, memory] = ['threads', 'memory of others'].map((kind) =>
      names.filter((name) => meets(kind, name, false)),
    )
    for (const list of [threads!, memory!]) {
      expect(list).toEqual(expect.arrayContaining(metByAll))
      expect(list.length / names.length).toBeGreaterThan(metByAll.length / names.length)
      expect(list.length / names.length).toBeLessThan(0.17)
    }
    const chosen = threads!.filter((name) => !metByAll.includes(name))
    expect(chosen.filter((name) => memory!.includes(name)).length).toBeLessThan(chosen.length / 1.5)
    expect(names.filter((name) => meets('threads', name, true))).toEqual(names)
  })

  it('holds a sixth of the cases for one optimizer of each kind', () => {
    expect(registry.map(({ definition }) => definition.name)).toEqual(expect.arrayContaining(metByAll))
    for (const factory of registry.filter(({ definition }) => metByAll.includes(definition.name))) {
      const all = Object.keys(wrappers).filter((name) => !refuses(factory, name))
      const met = wrappersAround(factory, false).length / all.length
      expect(met).toBeGreaterThan(0.08)
      expect(met).toBeLessThan(0.26)
    }
  })

  it('leaves no optimizer without a wrapper and a change from its defaults, and no wrapper without optimizers', () => {
    const around = registry.map((factory) => wrappersAround(factory))
    expect(registry.filter((_, index) => around[index]!.length === 0).map(({ definition }) => definition.name)).toEqual(
      [],
    )
    expect(registry.filter((factory) => changesOf(factory).length === 0)).toEqual([])
    for (const name of Object.keys(wrappers)) {
      expect(around.filter((names) => names.includes(name)).length, name).toBeGreaterThan(0)
    }
  })
})
