import {
  adafactor,
  adamW,
  type CompiledOptimizer,
  came,
  cautious,
  clipByGlobalNorm,
  compile,
  type Optimizer,
  qr,
  type Shapes,
  type TensorTelemetry,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'
import { copyAll, randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'
import { meets, sample } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { registry, tried } from '../support/variants.ts'

/** Several chunks of work for one tensor, rows that no chunk holds evenly, a batch of matrices, and small ones. */
const shapes: Shapes = {
  vector: [140001],
  matrix: [257, 301],
  kernel: [6, 4, 3, 3],
  bias: [5],
  scalar: [],
}

/** Parameters, and gradients of the steps. */
const random = randomNumbers(3)
const numbers = Array.from({ length: 3 }, () =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, random),
    ]),
  ),
)

/** Parameters, state and telemetry of some steps, one of them without the matrix. */
async function run(optimizer: Optimizer, threads: number) {
  const compiled: CompiledOptimizer = await compile(optimizer, shapes, { backend: wasm({ threads }), telemetry: true })
  try {
    copyAll(numbers[0]!, compiled.parameters)
    const telemetry: Readonly<Record<string, TensorTelemetry>>[] = []
    for (let step = 1; step < numbers.length; step++) {
      copyAll(numbers[step]!, compiled.gradients)
      telemetry.push((await takeStep(compiled, step === 2 ? { without: ['matrix'] } : {})).telemetry!)
    }
    return { values: snapshot(compiled), telemetry }
  } finally {
    compiled.dispose()
  }
}

const met = registry.filter(({ definition }) => meets('threads', definition.name))

describe.each(met.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  it('gives the same bits with several threads as with one', async () => {
    const optimizer = tried(factory)
    const single = await run(optimizer, 1)
    for (const threads of sample(name, [2, 3], String)) {
      const several = await run(optimizer, threads)
      expect(changedBits(several.values, single.values)).toEqual([])
      expect(several.telemetry).toEqual(single.telemetry)
    }
  })
})

describe('threads', () => {
  it('share sums over all tensors and over each of them to the bit', async () => {
    const optimizer = clipByGlobalNorm(cautious(adamW()))
    const [single, several] = [await run(optimizer, 1), await run(optimizer, 3)]
    expect(changedBits(several.values, single.values)).toEqual([])
    expect(several.telemetry).toEqual(single.telemetry)
  })

  it('give the same bits where rows go side by side', async () => {
    for (const optimizer of [adafactor(), came()]) {
      const [single, several] = [await run(optimizer, 1), await run(optimizer, 3)]
      expect(changedBits(several.values, single.values)).toEqual([])
      expect(several.telemetry).toEqual(single.telemetry)
    }
  })

  it('take room to work in for each thread, not for each piece of work', async () => {
    // Thousands of rows, and of matrices: a buffer for each of the pieces would be 100 MB, and 4 MB.
    const tall = optimizerOf(({ g }) => ({ direction: g.matmul(g.transposed().matmul(g)), state: {} }), {})
    const many = optimizerOf(({ g }) => ({ direction: qr(g).q, state: {} }), {})
    for (const [optimizer, shape] of [
      [tall, [25_000, 3]],
      [many, [1000, 16, 16]],
    ] as const) {
      const bytes: number[] = []
      for (const threads of [1, 3]) {
        const compiled = await compile(optimizer, { weight: [...shape] }, { backend: wasm({ threads }) })
        bytes.push(compiled.parameters.weight!.buffer.byteLength)
        compiled.dispose()
      }
      expect(bytes[1]! - bytes[0]!).toBeLessThan(2 ** 20)
    }
  })

  it('find what is not finite wherever it is', async () => {
    const compiled = await compile(adamW(), shapes, { backend: wasm({ threads: 3 }), nonFinite: 'skip' })
    try {
      compiled.gradients.vector![139_999] = Number.NaN
      compiled.gradients.scalar![0] = Number.NEGATIVE_INFINITY
      expect(compiled.step()).toEqual({ step: 0, skipped: true, nonFinite: ['vector', 'scalar'] })
    } finally {
      compiled.dispose()
    }
  })
})

describe('products of matrices', () => {
  it.each([
    ['few rows and a long inner dimension', [5, 4500]],
    ['some rows and a long inner dimension', [70, 2100]],
    ['many rows', [301, 40]],
  ] as const)('of %s give the same bits with several threads as with one', async (_, shape) => {
    const optimizer = optimizerOf(({ p, g }) => ({
      direction: g.matmul(g.transposed()).plus(g.matmul(p.transposed())).matmul(p),
      state: {},
    }))
    const steps = async (threads: number) => {
      const compiled = await compile(optimizer, { weight: [...shape] }, { backend: wasm({ threads }) })
      const random = randomNumbers(7)
      try {
        for (const values of [compiled.parameters.weight, compiled.gradients.weight]) {
          for (let place = 0; place < values.length; place++) values[place] = random() / 64
        }
        for (let step = 0; step < 2; step++) compiled.step()
        return snapshot(compiled)
      } finally {
        compiled.dispose()
      }
    }
    const single = await steps(1)
    for (const threads of [2, 3]) expect(changedBits(await steps(threads), single)).toEqual([])
  })
})
