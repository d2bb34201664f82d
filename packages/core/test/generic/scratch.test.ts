import { compile, microAdam, type Optimizer, type Shapes, shampoo, soap } from 'fallline'
import { describe, expect, it } from 'vitest'

const side = 128

/** Bytes of the memory of an optimizer of so many equal matrices, and of what it keeps from step to step. */
async function memory(rule: Optimizer, count: number): Promise<{ whole: number; kept: number }> {
  const shapes: Shapes = Object.fromEntries(Array.from({ length: count }, (_, index) => [`w${index}`, [side, side]]))
  const optimizer = await compile(rule, shapes)
  const { byteLength } = optimizer.parameters.w0!.buffer
  const kept = optimizer.save().length
  optimizer.dispose()
  return { whole: byteLength, kept }
}

describe('what exists only within a step', () => {
  it.each([
    ['microAdam', microAdam()],
    ['soap', soap()],
    ['shampoo', shampoo()],
  ] as const)('%s: one tensor after the other uses the same memory for it', async (_, rule) => {
    const [few, many] = [await memory(rule, 1), await memory(rule, 9)]
    const gradients = 4 * 8 * side * side
    // Some bytes keep arrays apart, and memory comes in pages of 65,536.
    expect(many.whole - few.whole).toBeLessThan(1.1 * (many.kept - few.kept + gradients) + 2 * 65536)
  })
})
