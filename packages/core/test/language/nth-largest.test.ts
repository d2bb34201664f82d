import { compile, reference, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { nthLargest } from '../../src/parts/nth-largest.ts'
import { optimizerOf } from '../support/rules.ts'

/** Numbers around 0, spread over `decades` decades, with the same numbers in every run. */
function spread(length: number, decades: number, lean: number): Float32Array {
  const noise = (i: number) => (Math.sin(12.9898 * (i + 1)) * 43758.5453) % 1
  return Float32Array.from({ length }, (_, i) => (noise(i) + lean) * 10 ** (decades * noise(i + length)))
}

const arrays: Readonly<Record<string, Float32Array>> = {
  positive: spread(1000, 1, 1.1),
  'of both signs': spread(1000, 1, 0),
  'over forty decades': spread(1000, 20, 0.5),
  negative: spread(300, 1, -1.1),
  'with many equal': spread(500, 1, 0).map(Math.round),
  'all equal': new Float32Array(33).fill(-2.5),
  zero: new Float32Array(7),
  single: Float32Array.of(-3),
}

describe('the n-th largest element', () => {
  describe.each(Object.entries(arrays))('of numbers %s', (_, values) => {
    it.each([reference, wasm])('is found', async (backend) => {
      const shared = optimizerOf(({ g, hyper }) => ({ direction: g.minus(g).minus(nthLargest(g, hyper.h)) }))
      const sorted = [...values].sort((a, b) => b - a)
      const compiled = await compile(shared, { x: [values.length] }, { backend: backend() })
      for (const n of new Set([1, 2, 5, values.length >> 1, values.length - 1, values.length])) {
        if (n < 1 || n > values.length) continue
        compiled.parameters.x!.fill(0)
        compiled.set({ h: n })
        compiled.step({ gradients: { x: values } })
        const expected = sorted[n - 1]!
        const found = compiled.parameters.x![0]!
        expect({ n, right: Math.abs(found - expected) <= 1e-6 * Math.abs(expected) }).toEqual({ n, right: true })
      }
    })
  })
})
