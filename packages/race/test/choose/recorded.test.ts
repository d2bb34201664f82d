import { readFileSync } from 'node:fs'
import { compile, type Layout, type OptimizerFactory, reference, registry } from 'fallline'
import { describe, expect, it } from 'vitest'
import { everything } from '../../../core/test/support/sample.ts'
import { Simulator } from '../../recording/figures.ts'
import { priorOf, scoresOf } from '../../recording/prior.ts'
import { readTable } from '../../recording/table.ts'
import { candidatesOf } from '../../src/choose/candidates.ts'
import { readPrior, readScores } from '../../src/choose/prior.ts'
import { defaultPolicy, trials } from '../../src/search/policies/index.ts'
import type { Policy } from '../../src/search/policy.ts'
import type { SearchSpace } from '../../src/search/space.ts'

const page = (name: string) => readFileSync(new URL(`../../../../docs/${name}.md`, import.meta.url), 'utf8')
const table = readTable()
const simulator = new Simulator(table)
const repetitions = everything ? 50 : 25

describe('the recorded table', () => {
  it('holds tasks with every optimizer that they can feed, at the settings that choosing tries', () => {
    expect(simulator.grounds.length).toBeGreaterThanOrEqual(4)
    expect(table.optimizers.length).toBeGreaterThan(100)
    const contenders = table.optimizers.map(({ name, search }) => ({ name, search }))
    expect(candidatesOf(contenders, null).map(({ setting }) => setting)).toEqual(
      table.optimizers.flatMap(({ settings }) => settings),
    )
    for (const { configurations, best, baseline } of simulator.grounds) {
      expect(configurations.length % 8).toBe(0)
      expect(configurations.length).toBeGreaterThan(800)
      expect(best.mean).toBeLessThan(baseline.mean)
    }
  })

  it('is what the shipped prior was made of', () => {
    expect(readScores()).toEqual(scoresOf(table))
  })

  it('leaves the task out of its own prior', () => {
    expect(readScores().tasks).toContain('digits-mlp')
    expect(readPrior('digits-mlp').tasks).not.toContain('digits-mlp')
    expect(readPrior('digits-mlp')).toEqual(priorOf(table, ['digits-mlp']))
  })

  it('gives candidates their prior where their ranges are the recorded ones, and nowhere else', () => {
    const search = registry.find(({ definition }) => definition.name === 'adamW')!.definition.search as SearchSpace
    const prior = readPrior('of my own')
    const { scores } = prior.optimizers.adamW!
    expect(candidatesOf([{ name: 'adamW', search }], prior).map(({ prior }) => prior)).toEqual(scores)
    expect(candidatesOf([{ name: 'adamW', search }], prior, 10).map(({ prior }) => prior)).toEqual([
      ...scores,
      null,
      null,
    ])
    const other = { ...search, learningRate: { scale: 'log', minimum: 1e-5, maximum: 1 } } as const
    expect(candidatesOf([{ name: 'adamW', search: other }], prior).every(({ prior }) => prior === null)).toBe(true)
    expect(candidatesOf([{ name: 'of my own', search }], prior)[0]!.prior).toBeNull()
    expect(candidatesOf([{ name: 'adamW', search }], null)[0]!.prior).toBeNull()
    expect(() => candidatesOf([], null, 0)).toThrow('not 0')
  })
})

describe('the optimizers that compute otherwise since tasks say which dimensions are outputs', () => {
  const point = /^- The runs were recorded before tasks said .*?(?=^- |^$)/ms.exec(page('choosing'))![0]
  const named = [...point.matchAll(/`(\w+)`/g)].map((match) => match[1]!)
  const shape = { w: [4, 7] }

  /** Where three steps lead, whose gradients are orthogonal to the weights row by row. */
  async function end(factory: OptimizerFactory, layout: Layout): Promise<string> {
    const optimizer = await compile(factory(), shape, { backend: reference(), layout })
    const { w } = optimizer.parameters
    w.forEach((_, index) => {
      w[index] = Math.sin(index * index + 1)
    })
    for (let step = 1; step <= 3; step++) {
      await optimizer.minimize(({ parameters, gradients, inputs }) => {
        gradients.w.forEach((_, index, array) => {
          array[index] = Math.cos(index + step)
        })
        for (let at = 0; at < 28; at += 7) {
          const own = Array.from(parameters.w.subarray(at, at + 7))
          const product = own.reduce((sum, x, i) => sum + x * gradients.w[at + i]!, 0)
          const square = own.reduce((sum, x) => sum + x * x, 0)
          own.forEach((x, i) => {
            gradients.w[at + i]! -= (product / square) * x
          })
        }
        for (const input of Object.values(inputs)) for (const array of Object.values(input)) array.fill(0.5)
        const numbers = Object.entries(optimizer.needs).filter(([, { kind }]) => kind === 'number')
        return {
          loss: 2,
          inputs: Object.fromEntries(numbers.filter(([name]) => name !== 'loss').map(([name]) => [name, 1])),
        }
      })
    }
    return w.join()
  }

  it('are named where the figures are', async () => {
    const other: string[] = []
    const recorded = new Set(table.optimizers.map(({ name }) => name))
    for (const factory of registry.filter(({ definition }) => recorded.has(definition.name))) {
      if ((await end(factory, 'outputFirst')) !== (await end(factory, 'outputLast')))
        other.push(factory.definition.name)
    }
    expect(named.sort()).toEqual(other.sort())
  })
})

describe('the shipped policy on the recorded table', () => {
  it('is as good as promised with a prior of other tasks, of other data, and with none', () => {
    for (const prior of ['other tasks', 'other data', 'none'] as const) {
      const at = (runs: number) => simulator.measure({ policy: defaultPolicy, runs, prior }, repetitions)
      const [small, middle] = [at(23), at(46)]
      expect(small.regret + 2 * small.standardError).toBeLessThan(0.6)
      expect(middle.regret + 2 * middle.standardError).toBeLessThan(0.45)
      expect(small.cost).toBeLessThanOrEqual(23)
      expect(middle.cost).toBeLessThanOrEqual(46)
      expect(middle.barelyJudged).toBeLessThan(0.1)
    }
  })

  it('is better than as many random configurations, by more than the noise', () => {
    const random = trials({ name: 'random configurations', count: 46 }) as Policy<unknown>
    const [ours, theirs] = [defaultPolicy, random].map((policy) =>
      simulator.measure({ policy, runs: 46, prior: 'none' }, repetitions),
    )
    const error = Math.hypot(ours!.standardError, theirs!.standardError)
    expect(theirs!.regret - ours!.regret).toBeGreaterThan(2 * error)
    expect(ours!.better).toBeLessThan(theirs!.better / 2)
  })

  it('gains by what choosing has learnt on the other tasks', () => {
    const at = (prior: 'none' | 'learnt') => simulator.measure({ policy: defaultPolicy, runs: 46, prior }, repetitions)
    const [without, learnt] = [at('none'), at('learnt')]
    const error = Math.hypot(without.standardError, learnt.standardError)
    expect(without.regret - learnt.regret).toBeGreaterThan(2 * error)
  })

  it('loses little by a prior that is upside down', () => {
    const at = (prior: 'none' | 'reversed') =>
      simulator.measure({ policy: defaultPolicy, runs: 46, prior }, repetitions)
    const [without, wrong] = [at('none'), at('reversed')]
    expect(wrong.regret - without.regret).toBeLessThan(0.1)
  })
})
