import { type Backend, compile, type Optimizer, reference, shampoo, soap, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'

const [rows, columns] = [7, 4]
const backends: readonly (readonly [string, () => Backend, number])[] = [
  ['reference', reference, 1e-9],
  ['wasm', wasm, 2e-3],
]
type Spread = { spreads: boolean; period: number }
const optimizers: readonly (readonly [string, (settings: Spread) => Optimizer])[] = [
  ['soap', ({ spreads, period }) => soap({ spreads, basisPeriod: period })],
  ['shampoo', ({ spreads, period }) => shampoo({ spreads, preconditionerPeriod: period, beta: 0.9, epsilon: 1e-3 })],
]

const start = async (rule: Optimizer, backend: Backend, height = rows) => {
  const optimizer = await compile(rule, { w: [height, columns] }, { backend })
  optimizer.parameters.w.set(Array.from({ length: height * columns }, (_, i) => Math.sin(i)))
  return optimizer
}
type Running = Awaited<ReturnType<typeof start>>

/** Gradients with singular values that are apart, around directions that stay, so that bases are determined. */
function gradients(seed: number, height = rows): () => number[] {
  const random = randomNumbers(seed)
  const entry = (i: number, j: number, mode: number) => Math.cos((i + 0.5) * (j + 1) * (mode === 0 ? 0.9 : 1.3))
  return () => {
    const factors = Array.from({ length: 4 }, (_, k) => (1 + random() / 4) * 2 ** (2 - 2 * k))
    return Array.from({ length: height * columns }, (_, place) => {
      const [i, j] = [Math.floor(place / columns), place % columns]
      return factors.reduce((sum, factor, k) => sum + factor * entry(i, k, 0) * entry(j, k, 1), random() / 50)
    })
  }
}

function take(optimizer: Running, draw: () => number[]): void {
  optimizer.step({ gradients: { w: draw() } })
}

const state = (optimizer: Running, name: string) =>
  Float64Array.from((optimizer.state('w') as Record<string, ArrayLike<number>>)[name]!)

/** How far columns are from orthonormal ones. */
function error(basis: Float64Array): number {
  const order = Math.sqrt(basis.length)
  let worst = 0
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) {
      let dot = 0
      for (let k = 0; k < order; k++) dot += basis[k * order + i]! * basis[k * order + j]!
      worst = Math.max(worst, Math.abs(dot - (i === j ? 1 : 0)))
    }
  }
  return worst
}

/** Q of the columns of S Q in descending order of qᵀ S q, each where it was, by Gram and Schmidt in float64. */
function orthogonalIteration(S: Float64Array, Q: Float64Array): Float64Array {
  const n = Math.sqrt(Q.length)
  const column = (values: Float64Array, j: number) => Array.from({ length: n }, (_, i) => values[i * n + j]!)
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  const power = (q: number[]) =>
    Array.from({ length: n }, (_, i) => q.reduce((sum, x, k) => sum + S[i * n + k]! * x, 0))
  const all = Array.from({ length: n }, (_, j) => ({ j, q: column(Q, j), power: power(column(Q, j)) }))
  const done: number[][] = []
  const result = new Float64Array(n * n)
  for (const { j, power } of all.sort((a, b) => dot(b.q, b.power) - dot(a.q, a.power))) {
    let x = power
    for (let pass = 0; pass < 3; pass++) for (const q of done) x = x.map((value, i) => value - dot(q, x) * q[i]!)
    x = x.map((value) => value / Math.sqrt(dot(x, x)))
    done.push(x)
    x.forEach((value, i) => {
      result[i * n + j] = value
    })
  }
  return result
}

describe.each(backends)('work that is spread, on %s', (_, backend, tolerance) => {
  it.each([1, 2, 3, 5])(
    'gives SOAP a basis after every %i steps: one orthogonal iteration from the first of them',
    async (period) => {
      const optimizer = await start(soap({ spreads: true, basisPeriod: period }), backend())
      const draw = gradients(3)
      let from: { S: Float64Array; Q: Float64Array } | undefined
      let before = new Float64Array()
      for (let t = 1; t <= 4 * period + 1; t++) {
        take(optimizer, draw)
        const basis = state(optimizer, 'basis2')
        expect(error(basis)).toBeLessThan(1e-5)
        if (t > 1 && t % period === 0) {
          // With a period of 1 the basis goes from the one before, with this step's statistics.
          const { S, Q } = period === 1 ? { S: state(optimizer, 'gram2'), Q: before } : from!
          const expected = orthogonalIteration(S, Q)
          basis.forEach((value, place) => {
            expect(Math.abs(value - expected[place]!)).toBeLessThan(tolerance)
          })
        } else if (t > 1) expect(basis).toEqual(before)
        if ((t - 1) % period === 0) from = { S: state(optimizer, 'gram2'), Q: basis }
        before = basis
      }
    },
  )

  it('changes nothing for SOAP with a period of 1', async () => {
    const [spread, atOnce] = await Promise.all(
      [true, false].map((spreads) => start(soap({ spreads, basisPeriod: 1 }), backend(), columns)),
    )
    const [first, second] = [gradients(4, columns), gradients(4, columns)]
    for (let t = 1; t <= 8; t++) {
      take(spread!, first)
      take(atOnce!, second)
      spread!.parameters.w.forEach((value, place) => {
        expect(Math.abs(value - atOnce!.parameters.w[place]!)).toBeLessThan(tolerance)
      })
    }
  })

  it.each(optimizers)('continues %s to the bit from a checkpoint at any step of a period', async (_, rule) => {
    for (let saved = 1; saved <= 7; saved++) {
      const [whole, resumed] = await Promise.all([0, 1].map(() => start(rule({ spreads: true, period: 3 }), backend())))
      const draw = gradients(saved)
      for (let t = 1; t <= saved; t++) take(whole!, draw)
      resumed!.load(whole!.save())
      for (let t = saved + 1; t <= saved + 7; t++) {
        const w = draw()
        for (const optimizer of [whole!, resumed!]) optimizer.step({ gradients: { w } })
      }
      expect(resumed!.save()).toEqual(whole!.save())
    }
  })

  it.each(optimizers)('keeps the bases of %s orthonormal where the period changes on the way', async (name, rule) => {
    const optimizer = await start(rule({ spreads: true, period: 6 }), backend())
    const draw = gradients(5)
    for (const period of [6, 2, 5, 1, 4, 3]) {
      optimizer.set({ [name === 'soap' ? 'basisPeriod' : 'preconditionerPeriod']: period })
      for (let t = 0; t < 4; t++) {
        take(optimizer, draw)
        for (const mode of [1, 2]) expect(error(state(optimizer, `basis${mode}`))).toBeLessThan(1e-5)
      }
    }
  })

  it('gives Shampoo a preconditioner at the same steps, which tends to that of eigenvalues when gradients have turned', async () => {
    const settings = { preconditionerPeriod: 4, beta: 0.8, epsilon: 1e-9 }
    const both = await Promise.all([true, false].map((spreads) => start(shampoo({ ...settings, spreads }), backend())))
    const [spread, atOnce] = both as [Running, Running]
    const [early, late] = [gradients(6)(), gradients(7)().map((value, place) => value + Math.cos(place ** 2))]
    const errors: number[] = []
    for (let t = 1; t <= 60; t++) {
      const before = state(spread, 'preconditioner2')
      for (const optimizer of both) optimizer.step({ gradients: { w: t <= 6 ? early : late } })
      const P = state(spread, 'preconditioner2')
      if (t % 4 !== 0) expect(P).toEqual(before)
      else {
        const exact = state(atOnce, 'preconditioner2')
        errors.push(Math.hypot(...P.map((value, place) => value - exact[place]!)) / Math.hypot(...exact))
      }
    }
    expect(errors[0]).toBeLessThan(tolerance)
    expect(Math.max(...errors)).toBeGreaterThan(0.01)
    expect(errors.at(-1)).toBeLessThan(1e-3)
  })
})
