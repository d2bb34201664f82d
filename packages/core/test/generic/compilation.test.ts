import {
  type CompiledOptimizer,
  compilationCount,
  compile,
  constant,
  cosine,
  type Hyperparameter,
  type OptimizerFactory,
  sgd,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'
import { smallModel } from '../support/models.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

/** A valid value other than the default, nearer to what is off for small `share`; what is 0 stays 0. */
function moved({ default: value, minimum, aboveMinimum, whole }: Hyperparameter, share: number): number {
  const low = Number.isFinite(minimum) && !aboveMinimum ? minimum : 0
  const other = low + (value - low) * share
  return whole ? Math.ceil(other) : other
}

function settings<T>(factory: OptimizerFactory, value: (range: Hyperparameter) => T): Record<string, T> {
  const { hyper } = factory.definition
  return Object.fromEntries(Object.entries(hyper).map(([name, range]) => [name, value(range)]))
}

async function steps(optimizer: CompiledOptimizer, count: number, before: (step: number) => void = () => {}) {
  const random = randomNumbers(5)
  fillAll(optimizer.parameters, random)
  for (let step = 1; step <= count; step++) {
    before(step)
    fillAll(optimizer.gradients, random)
    await takeStep(optimizer)
  }
  return snapshot(optimizer)
}

const orthogonalizing = ['adaGo', 'adaMuon', 'lanton', 'muon', 'norMuon', 'scion', 'spectralSphere']

describe.each(registry.map((factory) => [factory.definition.name, factory] as const))('%s', (name, factory) => {
  it.runIf(meets('numbers that change', name))(
    'compiles nothing when every hyperparameter changes at every step',
    async () => {
      const optimizer = await compile(make(factory), smallModel)
      const compiled = compilationCount()
      const constantly = await steps(await compile(make(factory), smallModel), 5)
      const changing = await steps(optimizer, 5, (step) => {
        optimizer.set(settings(factory, (range) => moved(range, 1 - step / 20)))
      })
      expect(compilationCount()).toBe(compiled)
      // AdaShift does not move before its queue of gradients is full.
      if (name !== 'adaShift') expect(changedBits(changing, constantly)).toContain('weight')
    },
  )

  it('compiles once for a second optimizer with other numbers, schedules and sizes', async () => {
    // FRUGAL's choice of one column in four is planned otherwise where those are more than the rows, and so is what makes
    // matrices orthogonal where they are more than twice as long as wide.
    // MicroAdam, sparse GGT and sparse M-FAC keep one element of up to 100, PSGD Dense has a matrix for up to 512 parameters. A mean over two takes
    // a half, which SINGD's rule has too. 4-bit Shampoo keeps large matrices in codes.
    const small = name === 'frugal' ? [4, 9] : [4, 7]
    const wides: Readonly<Record<string, readonly number[]>> = {
      fourBitShampoo: [2, 50],
      frugal: [80, 200],
      microAdam: [2, 50],
      psgdDense: [2, 250],
      singd: [3, 300],
      sparseGGT: [2, 50],
      sparseMFac: [2, 50],
    }
    const wide = wides[name] ?? (orthogonalizing.includes(name) ? [200, 300] : [2, 300])
    await compile(make(factory), { weight: small })
    const compiled = compilationCount()
    const other = settings(factory, (range) => (range.default === 0 ? 0 : moved(range, 0.5)))
    await compile(make(factory, other), { weight: [6, 12] })
    await compile(make(factory, { ...other, learningRate: cosine({ from: 1e-3, to: 0, steps: 9 }) }), {
      weight: wide,
    })
    expect(compilationCount()).toBe(compiled)
  })

  it.runIf(meets('constant schedules', name))(
    'gives the same bits for numbers, constant schedules and functions',
    async () => {
      const numbers = await steps(await compile(make(factory), smallModel), 7)
      const schedules = await steps(
        await compile(
          make(
            factory,
            settings(factory, ({ default: value }) => constant(value)),
          ),
          smallModel,
        ),
        7,
      )
      expect(changedBits(schedules, numbers)).toEqual([])
      const functions = settings(factory, ({ default: value }) => (value === 0 ? 0 : () => value))
      expect(changedBits(await steps(await compile(make(factory, functions), smallModel), 7), numbers)).toEqual([])
    },
  )
})

describe('compiling', () => {
  it('counts: something new is compiled, the same again is not', async () => {
    const before = compilationCount()
    const fresh = { a: [2, 3, 4], b: [5, 5, 5] }
    await compile(sgd({ momentum: 0.123, nesterov: true }), fresh, { telemetry: true })
    expect(compilationCount()).toBe(before + 1)
    await compile(sgd({ momentum: 0.9, nesterov: true }), { c: [7, 2, 9], d: [8, 8, 8] }, { telemetry: true })
    expect(compilationCount()).toBe(before + 1)
  })

  it('does not mix up what differs in its rule only', async () => {
    const shapes = { a: [3] }
    const [plain, nesterov] = [
      await compile(sgd({ momentum: 0.9 }), shapes),
      await compile(sgd({ momentum: 0.9, nesterov: true }), shapes),
    ]
    expect(changedBits(await steps(plain, 3), await steps(nesterov, 3))).toContain('a')
  })

  it('makes one module for threads and one without, whose results are the same', async () => {
    const single = await compile(sgd(), { a: [3] }, { backend: wasm() })
    const several = await compile(sgd(), { a: [3] }, { backend: wasm({ threads: 2 }) })
    const compiled = compilationCount()
    const again = await compile(sgd(), { a: [9] }, { backend: wasm({ threads: 2 }) })
    expect(compilationCount()).toBe(compiled)
    expect(changedBits(await steps(several, 3), await steps(single, 3))).toEqual([])
    several.dispose()
    again.dispose()
  })
})
