import { compile, defineOptimizer, logUniform, nonNegative, reference, type Value, wasm, where } from 'fallline'
import { describe, expect, it } from 'vitest'

/** What a function of two arrays gives, element by element. */
async function compute(
  use: (y: Value, x: Value) => Value,
  pairs: readonly (readonly [number, number])[],
  backend: typeof wasm | typeof reference,
): Promise<number[]> {
  const rule = defineOptimizer({
    name: 'mine',
    title: 'Mine',
    paper: { title: 'Mine', authors: 'Me', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(1, 2) },
    rule: ({ g, p }) => ({ direction: p.minus(use(g, p)) }),
  })
  const optimizer = await compile(rule(), { w: [pairs.length] }, { backend: backend() })
  optimizer.parameters.w!.set(pairs.map(([, x]) => x))
  optimizer.step({ gradients: { w: pairs.map(([y]) => y) } })
  return [...optimizer.parameters.w!]
}

const numbers = [0, 1e-30, 1e-3, 0.1, 0.3, 0.41, 0.9, 1, 1.1, 2.4, 10, 1e3].flatMap((value) => [value, -value])
const pairs = numbers.flatMap((y) => numbers.map((x) => [y, x] as const))

describe.each([
  ['reference', reference, 1e-12],
  ['wasm', wasm, 2e-6],
] as const)('on %s', (_, backend, tolerance) => {
  it('atan is the arc tangent', async () => {
    const found = await compute((y, x) => y.atan().plus(x), pairs, backend)
    pairs.forEach(([y, x], index) => {
      const scale = Math.max(1, Math.abs(x))
      expect(Math.abs(found[index]! - (Math.atan(y) + x)) / scale).toBeLessThan(tolerance)
    })
  })

  it('atan2 is the angle in all quadrants', async () => {
    const found = await compute((y, x) => y.atan2(x), pairs, backend)
    pairs.forEach(([y, x], index) => {
      // The direction of rounding decides between p - (p - a) where p is large.
      const scale = Math.max(1, Math.abs(x))
      expect(Math.abs(found[index]! - Math.atan2(y + 0, x + 0)) / scale).toBeLessThan(tolerance)
    })
  })

  it('or holds where at least one does', async () => {
    const found = await compute((y, x) => where(y.isGreaterThan(0).or(x.isGreaterThan(0)), 1, 0), pairs, backend)
    pairs.forEach(([y, x], index) => {
      expect(found[index]).toBeCloseTo(y > 0 || x > 0 ? 1 : 0, 3)
    })
  })
})
