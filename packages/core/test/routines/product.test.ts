import { describe, expect, it } from 'vitest'
import { assembleModule } from '../../src/backends/wasm/assembler.ts'
import { driver } from '../../src/backends/wasm/library.ts'
import { matmul, productFunctions } from '../../src/backends/wasm/routines/product.ts'
import { packingBytes } from '../../src/backends/wasm/routines/tiles.ts'
import { references } from '../../src/routines/references.ts'
import { randomNumbers } from '../support/random.ts'

const memory = new WebAssembly.Memory({ initial: 128 })
const module = new WebAssembly.Module(
  assembleModule([matmul(false, false), matmul(true, false)], driver(), productFunctions, undefined),
)
const run = new WebAssembly.Instance(module, { env: { memory } }).exports.run as (list: number, count: number) => void
const words = new Int32Array(memory.buffer)
const floats = new Float32Array(memory.buffer)

/** A product of random matrices, cut into parts as threads would; as a Gram matrix, of the left one and its transpose. */
function product(
  batch: number,
  rows: number,
  inner: number,
  columns: number,
  parts: number,
  gram = false,
  given?: Float64Array,
) {
  const random = randomNumbers(rows + 3 * inner + 7 * columns)
  let end = 1024
  const place = (size: number) => {
    const address = end
    end += 4 * size + 64
    return address
  }
  const [left, right, result] = [
    place(batch * rows * inner),
    place(batch * inner * columns),
    place(batch * rows * columns),
  ]
  const pack = place(packingBytes / 4)
  floats.fill(Number.NaN, 256)
  const fill = (address: number, size: number) => {
    const view = floats.subarray(address / 4, address / 4 + size)
    for (let i = 0; i < size; i++) view[i] = random()
    return Float64Array.from(view)
  }
  const operands = [
    { values: fill(left, batch * rows * inner), dimensions: [batch, rows, inner] as const },
    { values: fill(right, batch * inner * columns), dimensions: [batch, inner, columns] as const },
  ]
  if (given) {
    floats.set(given, right / 4)
    operands[1]!.values.set(given)
  }
  words.set([left, gram ? left : right, result, rows, inner, columns, pack, packingBytes, columns, 0, 0], 32)
  for (let part = 0; part < parts; part++) {
    const bound = (index: number) => Math.floor((index * batch * rows) / parts)
    words.set([gram ? 1 : 0, 128, bound(part), bound(part + 1), 0], 16)
    run(64, 1)
  }
  return { found: floats.slice(result / 4, result / 4 + batch * rows * columns), operands }
}

/** What only functions look at whose operands do not say the dimensions of what they give. */
const asked = [1, 1, 1] as const

/** Sizes at and around the ends of tiles and blocks. */
const sizes = [
  [1, 1, 1, 1],
  [1, 4, 256, 8],
  [1, 5, 257, 9],
  [2, 3, 7, 5],
  [1, 257, 3, 17],
  [3, 130, 65, 12],
  [1, 260, 513, 7],
  [1, 1, 600, 1],
  [1, 70, 1, 70],
] as const

describe('the kernel of products', () => {
  it.each(sizes)('multiplies %i times %i x %i by %i columns within its bound', (batch, rows, inner, columns) => {
    const { found, operands } = product(batch, rows, inner, columns, 1)
    const [exact] = references.product(operands, asked)
    const absolute = operands.map(({ values, dimensions }) => ({ values: values.map(Math.abs), dimensions }))
    const [magnitude] = references.product(absolute, asked)
    // A product is rounded once, and every addition within a block and over blocks.
    const roundings = Math.min(inner, 256) + Math.ceil(inner / 256)
    const bound = (roundings * 2 ** -24) / (1 - roundings * 2 ** -24)
    found.forEach((value, index) => {
      expect(Math.abs(value - exact![index]!)).toBeLessThanOrEqual(bound * magnitude![index]!)
    })
  })

  it.each(sizes)('gives the same bits in parts: %i times %i x %i by %i columns', (batch, rows, inner, columns) => {
    const { found } = product(batch, rows, inner, columns, 1)
    for (const parts of [2, 3, 7]) expect(product(batch, rows, inner, columns, parts).found).toEqual(found)
  })

  it.each(sizes)(
    'gives Gram matrices to the bit as products with the transpose: %i times %i x %i',
    (batch, rows, inner) => {
      const { found, operands } = product(batch, rows, inner, rows, 1, true)
      const [left] = operands
      const transpose = references.transposition([left!], asked)[0]!
      const other = product(batch, rows, inner, rows, 1, false, transpose).found
      expect(found).toEqual(other)
      for (const parts of [2, 3, 7]) expect(product(batch, rows, inner, rows, parts, true).found).toEqual(found)
      const mirrored = found.map((_, index) => {
        const [b, i, j] = [Math.floor(index / rows ** 2), Math.floor(index / rows) % rows, index % rows]
        return found[(b * rows + j) * rows + i]!
      })
      expect(found).toEqual(mirrored)
    },
  )

  it('of nothing is 0', () => {
    expect([...product(1, 3, 0, 9, 1).found]).toEqual(new Array(27).fill(0))
    expect([...product(1, 3, 4, 0, 1).found]).toEqual([])
  })
})
