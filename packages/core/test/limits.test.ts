import { readFileSync } from 'node:fs'
import type * as core from 'fallline'
import { adamW, compile, defineOptimizer, logUniform, nonNegative, registry, scalar, sgd, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')

/** The points of the README's list of limits, each in one line. */
const points = readme
  .split('\n## Limits\n\n')[1]!
  .split('\n\n## ')[0]!
  .split(/^- /m)
  .slice(1)
  .map((point) => point.replaceAll(/\s+/g, ' ').trim())

/** A rule that keeps the sum of its gradient. */
const summing = defineOptimizer({
  name: 'summing',
  title: 'Summing',
  paper: { title: 'none', authors: 'none', year: 2000 },
  hyper: { learningRate: nonNegative(0.1) },
  state: { sum: scalar(0) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1) },
  rule: ({ g }) => ({ direction: g, state: { sum: g.sum() } }),
})

async function adamSteps(optimizer: core.Optimizer, threads = 1): Promise<number[]> {
  const compiled = await compile(optimizer, { w: [300, 40] }, { backend: wasm({ threads }) })
  const random = randomNumbers(4)
  for (let step = 0; step < 3; step++) {
    compiled.step({ gradients: { w: Array.from({ length: 12000 }, (_, i) => (i % 7 === 0 ? 0 : random())) } })
  }
  const values = [...compiled.parameters.w]
  compiled.dispose()
  return values
}

const checks: Readonly<Record<string, () => void | Promise<void>>> = {
  'The WebAssembly backend computes in float32 (sums over elements to about 1e-6 of the sum of their magnitudes). What the WebGPU backend cannot do yet is in [its guide](docs/webgpu.md#what-it-cannot-do-yet).':
    async () => {
      expect(readFileSync(new URL('../../../docs/webgpu.md', import.meta.url), 'utf8')).toContain(
        '\n## What it cannot do yet\n',
      )
      const size = 100_003
      const optimizer = await compile(summing(), { w: [size] })
      expect(optimizer.parameters.w).toBeInstanceOf(Float32Array)
      for (const seed of [1, 2, 3]) {
        const random = randomNumbers(seed)
        const values = Float32Array.from({ length: size }, () => random() * 10 ** (3 * random()))
        optimizer.step({ gradients: { w: values } })
        const exact = values.reduce((sum, value) => sum + value, 0)
        const magnitude = values.reduce((sum, value) => sum + Math.abs(value), 0)
        const found = Math.abs((optimizer.state('w').sum as number) - exact)
        expect(found).toBeLessThan(1.2e-6 * magnitude)
        // It is float32 within blocks: float64 would be as near as this.
        expect(found).toBeGreaterThan(1e-14 * magnitude)
      }
      optimizer.dispose()
    },
  'Threads need `SharedArrayBuffer` and workers; in a page that means cross-origin isolation. Without them one thread does the work.':
    async () => {
      const expected = await adamSteps(adamW())
      const shared = globalThis.SharedArrayBuffer
      try {
        Reflect.deleteProperty(globalThis, 'SharedArrayBuffer')
        expect(await adamSteps(adamW(), 2)).toEqual(expected)
      } finally {
        globalThis.SharedArrayBuffer = shared
      }
    },
  'Parameters, gradients and state of one compiled optimizer share one WebAssembly memory of at most 4 GiB.':
    async () => {
      const optimizer = await compile(adamW(), { w: [3] })
      optimizer.step({ gradients: { w: [1, 2, 3] } })
      const arrays = [optimizer.parameters.w, optimizer.gradients.w, optimizer.state('w').m as Float32Array]
      expect(new Set(arrays.map(({ buffer }) => buffer)).size).toBe(1)
      optimizer.dispose()
      await expect(compile(adamW(), { w: [2 ** 14, 2 ** 14] })).rejects.toThrow(
        /need 4\.\d GiB; one WebAssembly memory holds at most 4 GiB/,
      )
    },
  'A hyperparameter of 0 that keeps a divisor from being 0 (`epsilon`) counts as 1e-30.': async () => {
    expect(await adamSteps(adamW({ epsilon: 0 }))).toEqual(await adamSteps(adamW({ epsilon: 1e-30 })))
    const floors = registry.flatMap(({ definition }) => Object.values(definition.hyper).map(({ floor }) => floor))
    expect([...new Set(floors)].sort()).toEqual([1e-30, undefined])
  },
  'A hyperparameter that was 0 when an optimizer was compiled may have left out state or phases. Setting it later is then an error that says so.':
    async () => {
      const optimizer = await compile(sgd({ momentum: 0 }), { w: [2] })
      expect(optimizer.state('w')).toEqual({})
      expect(() => optimizer.set({ momentum: 0.9 })).toThrow(
        'SGD: made with momentum 0, so what momentum needs was left out; compile it with a momentum other than 0 to change it later',
      )
      optimizer.dispose()
    },
}

describe('the limits that the README states', () => {
  it('are those that are checked here', () => {
    expect(points).toEqual(Object.keys(checks))
  })

  it.each(Object.entries(checks))('%s', (_, check) => check())
})
