import { compile, reference, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { optimizerOf } from '../support/rules.ts'

describe('rows in the opposite order', () => {
  it.each([
    ['reference', reference()],
    ['wasm', wasm()],
    ['wasm on two threads', wasm({ threads: 2 })],
  ])('come matrix by matrix on %s', async (_, backend) => {
    const optimizer = await compile(
      optimizerOf(({ g }) => ({ direction: g.reversedRows().negated() })),
      { batch: [2, 3, 2], column: [4, 1], row: [1, 3], none: [0, 2], long: [30_001, 1] },
      { backend },
    )
    for (const array of Object.values(optimizer.gradients)) array.set(array.map((_, i) => i))
    optimizer.step()
    const { batch, column, row, none, long } = optimizer.parameters
    expect([...batch]).toEqual([4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7])
    expect([...column]).toEqual([3, 2, 1, 0])
    expect([...row]).toEqual([0, 1, 2])
    expect([...none]).toEqual([])
    expect([...long]).toEqual(Array.from({ length: 30_001 }, (_, i) => 30_000 - i))
    optimizer.dispose()
  })
})
