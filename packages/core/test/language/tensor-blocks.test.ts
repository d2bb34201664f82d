import { compile, reference, shaped, wasm, where } from 'fallline'
import { describe, expect, it } from 'vitest'
import { cutIntoBlocks, joinBlocks, lengthOfBlocks, tensorBlocksOf } from '../../src/parts/tensor-blocks.ts'
import { optimizerOf } from '../support/rules.ts'

const sizesOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

/** All places of a tensor, in the order in which it lies in memory. */
function places(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (known, size) => known.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])),
    [[]],
  )
}

/** The blocks of a tensor by their definition, filled with zeros, one after the other. */
function cut(values: readonly number[], shape: readonly number[], size: number): number[] {
  const strides = shape.map((_, i) => sizesOf(shape.slice(i + 1)))
  const within = shape.map((length) => Math.min(length, size))
  const blocks = places(shape.map((length) => Math.ceil(length / size)))
  return blocks.flatMap((block) =>
    places(within).map((place) => {
      const at = place.map((i, mode) => i + block[mode]! * within[mode]!)
      if (at.some((i, mode) => i >= shape[mode]!)) return 0
      return values[at.reduce((sum, i, mode) => sum + i * strides[mode]!, 0)]!
    }),
  )
}

const cases: readonly (readonly [shape: readonly number[], size: number])[] = [
  [[4, 6], 2],
  [[4, 3], 3],
  [[3, 7], 3],
  [[5, 5], 4],
  [[7, 1], 3],
  [[1, 7], 3],
  [[2, 3, 5], 2],
  [[5, 2, 3, 4], 3],
  [[4, 3], 4],
  [[3, 2], 1],
]

describe.each([
  ['reference', reference],
  ['wasm', wasm],
] as const)('blocks on %s', (_, backend) => {
  it.each(cases)('of %j by %i are cut by their definition, and joined again', async (shape, size) => {
    const blocks = tensorBlocksOf(shape, size)
    const rows = sizesOf(blocks.sizes)
    const optimizer = optimizerOf(
      ({ g, state }) => {
        const found = cutIntoBlocks(g, blocks).as([1, blocks.count, rows])
        const matrices = found.as([blocks.count, 1, rows])
        const lengths = shape.map((_, mode) =>
          matrices
            .batchIndex()
            .times(0)
            .plus(lengthOfBlocks(blocks, mode, matrices)),
        )
        const back = joinBlocks(state.found!.plus(found), blocks, g)
        return {
          direction: back.negated(),
          state: { found, ...Object.fromEntries(lengths.map((length, mode) => [`length${mode}`, length])) },
        }
      },
      {
        found: shaped(() => [1, blocks.count, rows]),
        ...Object.fromEntries(shape.map((_, mode) => [`length${mode}`, shaped(() => [blocks.count, 1, 1])])),
      },
    )
    const compiled = await compile(optimizer, { w: shape }, { backend: backend() })
    const values = Array.from({ length: sizesOf(shape) }, (_, i) => i + 1)
    compiled.step({ gradients: { w: values } })
    const state = compiled.state('w') as Record<string, Float32Array>
    expect([...state.found!]).toEqual(cut(values, shape, size))
    expect([...compiled.parameters.w!]).toEqual(values)
    shape.forEach((length, mode) => {
      const expected = places(shape.map((each) => Math.ceil(each / size))).map((block) =>
        Math.min(size, length - block[mode]! * size),
      )
      expect([...state[`length${mode}`]!]).toEqual(expected)
    })
  })

  it('of a tensor without elements are the tensor', async () => {
    const blocks = tensorBlocksOf([5, 0], 2)
    const optimizer = optimizerOf(
      ({ g }) => ({ direction: joinBlocks(cutIntoBlocks(g, blocks), blocks, g), state: {} }),
      {},
    )
    const compiled = await compile(optimizer, { w: [5, 0] }, { backend: backend() })
    compiled.step({ gradients: { w: [] } })
    expect(compiled.parameters.w).toHaveLength(0)
  })
})

describe('two truth values', () => {
  it('may be known while the rule runs', async () => {
    const optimizer = optimizerOf(({ g, t }) => {
      const known = t.lifted(1).isLessThan(2)
      const positive = g.isGreaterThan(0)
      return { direction: where(positive.and(known), -1, where(known.not().and(positive), 5, 0)), state: {} }
    }, {})
    for (const backend of [reference(), wasm()]) {
      const compiled = await compile(optimizer, { w: [5] }, { backend })
      compiled.step({ gradients: { w: [1, -1, 2, 0, 3] } })
      expect([...compiled.parameters.w!]).toEqual([1, 0, 1, 0, 1])
    }
  })
})
