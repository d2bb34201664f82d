import { type Backend, compile, reference, shampoo, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'

const backends: readonly (readonly [string, () => Backend, number])[] = [
  ['reference', reference, 1e-6],
  ['wasm', wasm, 2e-3],
]
const ways = {
  'at once': {},
  'spread over steps': { spreads: true, preconditionerPeriod: 2 },
  'by iterations': { roots: 'coupledNewton' },
} as const

describe.each(backends)('Shampoo on %s', (_, backend, tolerance) => {
  it.each(Object.entries(ways))('gives each block the matrices of a tensor of its own, %s', async (_, way) => {
    const settings = { ...way, beta: 0.9, epsilon: 1e-3 }
    const [height, width, size] = [7, 6, 4]
    // Where each block begins and how large it is, in the order of the blocks.
    const blocks = [0, size].flatMap((top) =>
      [0, size].map((left) => ({
        top,
        left,
        sides: [Math.min(size, height - top), Math.min(size, width - left)] as const,
      })),
    )
    const whole = await compile(
      shampoo({ ...settings, blockSize: size }),
      { w: [height, width] },
      { backend: backend() },
    )
    const shapes = Object.fromEntries(blocks.map(({ sides }, b) => [`block${b}`, [...sides]]))
    const apart = await compile(shampoo(settings), shapes, { backend: backend() })
    const random = randomNumbers(2)
    const from = Array.from({ length: height * width }, random)
    for (let t = 1; t <= 7; t++) {
      const w = from.map((value) => value + random() / 4)
      const parts = blocks.map(({ top, left, sides: [rows, columns] }) =>
        Array.from({ length: rows * columns }, (_, place) => {
          const [i, j] = [Math.floor(place / columns), place % columns]
          return w[(top + i) * width + left + j]!
        }),
      )
      whole.step({ gradients: { w } })
      apart.step({ gradients: Object.fromEntries(parts.map((part, b) => [`block${b}`, part])) })
      const state = whole.state('w') as Record<string, ArrayLike<number>>
      blocks.forEach(({ sides }, b) => {
        const own = apart.state(`block${b}`) as Record<string, ArrayLike<number>>
        sides.forEach((side, mode) => {
          const [found, expected] = [state, own].map((each) => each[`preconditioner${mode + 1}`]!)
          const scale = Math.max(...Array.from(expected!).map(Math.abs))
          for (let i = 0; i < side; i++) {
            for (let j = 0; j < side; j++) {
              const difference = found![(b * size + i) * size + j]! - expected![i * side + j]!
              expect(Math.abs(difference) / scale).toBeLessThan(tolerance)
            }
          }
        })
      })
    }
    // Something has been turned, or equal matrices would say nothing.
    const [first] = [(whole.state('w') as Record<string, ArrayLike<number>>).preconditioner1!]
    expect(Math.abs(first[1]!)).toBeGreaterThan(1e-3)
  })
})

describe('Shampoo', () => {
  it('spreads no iterations', async () => {
    const both = shampoo({ spreads: true, roots: 'coupledNewton' })
    await expect(compile(both, { w: [4, 3] })).rejects.toThrow(
      "Shampoo: with spreads, roots must be 'eigen', as only bases are spread, not 'coupledNewton'",
    )
  })
})
