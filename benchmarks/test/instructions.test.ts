import { adafactor, adamW, clipByGlobalNorm, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import { instructionsOf, inWords } from '../src/instructions.ts'

describe('the instructions of the generated loops', () => {
  it('are those of the rule, counted by hand', () => {
    // θ - η (g + λ θ)
    expect(inWords(instructionsOf(sgd(), [64, 64]))).toBe('2 loads, 1 store, 2 products, 2 sums')
    // Limits of g and v are three of the sums.
    expect(inWords(instructionsOf(adamW(), [64, 64]))).toBe('4 loads, 3 stores, 7 products, 7 sums, 1 root, 1 quotient')
  })

  it('are of all passes together', () => {
    const [plain, clipped] = [sgd(), clipByGlobalNorm(sgd())].map((rule) => instructionsOf(rule, [64, 64]))
    // One more read of g, its square and their sum; then its factor.
    expect(clipped).toEqual({
      ...plain,
      loads: plain!.loads + 1,
      products: plain!.products + 2,
      sums: plain!.sums + 1,
    })
  })

  it('count what telemetry adds, without a look at every element for the count', () => {
    const [plain, told] = [false, true].map((telemetry) => instructionsOf(adamW(), [64, 64], telemetry))
    // The change, put aside; then the gradient, the parameter and the change once more, their squares and the sums.
    expect(told).toEqual({ ...plain, loads: 4 + 3, stores: 4, products: plain!.products + 3, sums: plain!.sums + 4 })
  })

  it('weigh passes over rows or columns by their elements', () => {
    const { loads, roots } = instructionsOf(adafactor(), [64, 64])
    // The gradient three times, the parameter twice, and a line for every four rows that is read with them, thrice.
    expect(loads).toBeGreaterThan(5.75)
    expect(loads).toBeLessThan(5.95)
    expect(roots).toBeGreaterThan(0)
    expect(roots).toBeLessThan(0.1)
  })

  it('count single elements where there are no vectors', () => {
    const mix = instructionsOf(sgd(), [3])
    expect(inWords(mix)).toBe('2 loads, 1 store, 2 products, 2 sums')
  })
})
