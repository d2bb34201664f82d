import {
  alice,
  apolloAdamW,
  type Backend,
  cholesky,
  compile,
  conda,
  cosmos,
  defineOptimizer,
  dion,
  fira,
  frugal,
  gaLore,
  logUniform,
  nonNegative,
  type Optimizer,
  reference,
  shampoo,
  shaped,
  soap,
  sPlus,
  subspaceMomentum,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

/** Keeps the Cholesky factor of its gradient at every second step. */
const keeper = defineOptimizer({
  name: 'keeper',
  title: 'Keeper',
  family: 'matrix',
  paper: { title: 'None', authors: 'None', year: 2026 },
  hyper: { learningRate: nonNegative(1) },
  state: { factor: shaped(({ matrix }) => matrix, { start: 'identity' }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1) },
  rule({ g, state, every }) {
    const factor = every(2, () => cholesky(g), state.factor)
    return { direction: factor, state: { factor } }
  },
})

const positive = [4, 2, 2, 10]
const indefinite = [1, 2, 2, 1]

/** What each keeps of its factorizations, with a refresh at every step. */
const optimizers: readonly (readonly [string, Optimizer, readonly string[]])[] = [
  ['alice', alice({ rank: 2, leading: 1, period: 1 }), ['basis']],
  ['apolloAdamW', apolloAdamW({ rank: 2, period: 1, projection: 'singular' }), ['basis']],
  ['conda', conda({ period: 1 }), ['basis']],
  ['cosmos', cosmos(), ['P']],
  ['dion', dion({ rank: 2 }), ['basis']],
  ['fira', fira({ rank: 2, period: 1 }), ['basis']],
  ['frugal', frugal({ period: 1, subspace: 'singular' }), ['basis']],
  ['gaLore', gaLore({ rank: 2, period: 1 }), ['basis']],
  ['shampoo', shampoo(), ['preconditioner1', 'preconditioner2']],
  ['shampoo, spread', shampoo({ spreads: true }), ['preconditioner1', 'preconditioner2', 'basis1', 'basis2']],
  ['soap', soap({ basisPeriod: 1 }), ['basis1', 'basis2']],
  ['soap, spread', soap({ basisPeriod: 1, spreads: true }), ['basis1', 'basis2']],
  ['sPlus', sPlus({ basisPeriod: 1 }), ['QL', 'QR']],
  ['subspaceMomentum', subspaceMomentum({ rank: 2, period: 1 }), ['basis']],
]

describe.each(backends)('a factorization that fails, on %s', (_, backend) => {
  it('keeps the last good one, and is counted', async () => {
    const optimizer = await compile(keeper(), { a: [2, 2], b: [2, 2] }, { backend: backend(), telemetry: true })
    const factor = (name: 'a' | 'b') => [...(optimizer.state(name).factor as Float32Array)]
    const step = (a: number[]) => {
      const { telemetry } = optimizer.step({ gradients: { a, b: positive } })
      return [telemetry!.a.failedFactorizations, telemetry!.b.failedFactorizations]
    }
    expect(step(indefinite)).toEqual([0, 0])
    expect(step(indefinite)).toEqual([1, 0])
    expect(factor('a')).toEqual([1, 0, 0, 1])
    expect(factor('b')).toEqual([2, 0, 1, 3])
    expect([step(positive), step(positive)]).toEqual([
      [0, 0],
      [0, 0],
    ])
    expect(factor('a')).toEqual([2, 0, 1, 3])
    expect([step(indefinite), step(indefinite)]).toEqual([
      [0, 0],
      [1, 0],
    ])
    expect(factor('a')).toEqual([2, 0, 1, 3])
    // The step was taken with what was kept: six times the direction.
    expect([...optimizer.parameters.a]).toEqual([-9, 0, -3, -12])
  })

  it.each(optimizers)('keeps that of %s', async (_, rule, names) => {
    const optimizer = await compile(rule, { w: [5, 4] }, { backend: backend(), telemetry: true, nonFinite: 'allow' })
    const random = randomNumbers(1)
    const draw = () => Float64Array.from({ length: 20 }, random)
    optimizer.parameters.w.set(draw())
    const kept = () => names.map((name) => [...(optimizer.state('w')[name as never] as Float32Array)])
    for (let t = 1; t <= 4; t++) {
      const { telemetry } = optimizer.step({ gradients: { w: draw() } })
      expect(telemetry!.w.failedFactorizations).toBe(0)
    }
    const before = kept()
    const broken = draw()
    broken[7] = Number.NaN
    const { telemetry } = optimizer.step({ gradients: { w: broken } })
    expect(telemetry!.w.failedFactorizations).toBe(1)
    expect(kept()).toEqual(before)
    expect(before.flat().every(Number.isFinite)).toBe(true)
  })
})
