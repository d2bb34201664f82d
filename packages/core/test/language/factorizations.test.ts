import {
  cholesky,
  compile,
  defineOptimizer,
  eigen,
  logUniform,
  matrixPower,
  nonNegative,
  qr,
  reference,
  solveLower,
  solveUpper,
  svd,
  type Value,
  wasm,
} from 'fallline'
import { describe, expect, it, vi } from 'vitest'
import { references } from '../../src/routines/references.ts'

/** What one step with a direction made of the gradient gives, on both backends. */
async function directions(direction: (g: Value) => Value, shape: readonly number[], gradient: readonly number[]) {
  const optimizer = defineOptimizer({
    name: 'tried',
    title: 'Tried',
    paper: { title: 'None', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1) },
    state: {},
    decay: 'decoupled',
    search: { learningRate: logUniform(0.1, 1) },
    rule: ({ g }) => ({ direction: direction(g).negated() }),
  })
  const results: number[][] = []
  for (const backend of [wasm(), reference()]) {
    const compiled = await compile(optimizer(), { w: shape }, { backend })
    compiled.gradients.w.set(gradient)
    compiled.step()
    results.push([...compiled.parameters.w])
  }
  return results
}

const expectBoth = async (
  direction: (g: Value) => Value,
  shape: readonly number[],
  gradient: readonly number[],
  expected: readonly number[],
) => {
  for (const found of await directions(direction, shape, gradient)) {
    found.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, 5)
    })
  }
}

describe('factorizations in rules', () => {
  // 5 and 10 belong to (2, -1) / √5 and (1, 2) / √5.
  const symmetric = [6, 2, 2, 9]

  it('multiply to the matrix again, in batches too', async () => {
    const batch = [...symmetric, 2, 1, 1, 2]
    const again = (g: Value) => {
      const { values, vectors } = eigen(g)
      return vectors.times(values).matmul(vectors.transposed())
    }
    await expectBoth(again, [2, 2, 2], batch, batch)
    const wide = [1, 2, 3, 4, 5, 6.5, 0, 1, 0, 1, 0, 1]
    await expectBoth((g) => qr(g).q.matmul(qr(g).r), [2, 2, 3], wide, wide)
    const product = (g: Value) => {
      const { left, values, right } = svd(g)
      return left.times(values).matmul(right)
    }
    await expectBoth(product, [2, 2, 3], wide, wide)
    await expectBoth((g) => cholesky(g).matmul(cholesky(g).transposed()), [2, 2, 2], batch, batch)
  })

  it('give what is known by hand', async () => {
    await expectBoth(
      (g) => eigen(g).vectors,
      [2, 2],
      symmetric,
      [2, 1, -1, 2].map((x) => x / Math.sqrt(5)),
    )
    await expectBoth((g) => qr(g).r, [2, 2], [3, 1, 4, 2], [5, 2.2, 0, 0.4])
    await expectBoth((g) => matrixPower(g, 0.5).matmul(matrixPower(g, 0.5)), [2, 2], symmetric, symmetric)
    await expectBoth((g) => matrixPower(g, -1), [2, 2], symmetric, [0.18, -0.04, -0.04, 0.12])
    await expectBoth((g) => matrixPower(g, 1, (values) => values.minus(5)), [2, 2], symmetric, [1, 2, 2, 4])
    await expectBoth((g) => cholesky(g), [2, 2], [4, 2, 2, 10], [2, 0, 1, 3])
    await expectBoth((g) => solveLower(g, g), [2, 2], [2, 7, 4, 5], [1, 3.5, 0, (5 - 4 * 3.5) / 5])
    await expectBoth((g) => solveUpper(g, g), [2, 2], [2, 7, 4, 5], [(2 - 7 * 0.8) / 2, 0, 0.8, 1])
  })

  it('need not be used whole', async () => {
    const batch = [3, 0, 0, 4, 0, 1, 2, 0]
    await expectBoth((g) => svd(g).values.as([2, 2, 1]).plus(g.times(0)), [2, 2, 2], batch, [4, 4, 3, 3, 2, 2, 1, 1])
    await expectBoth((g) => g.minus(svd(g).right), [2, 2, 2], batch, [3, -1, -1, 4, -1, 1, 2, -1])
    await expectBoth((g) => eigen(g).values.plus(g.times(0)), [2, 2], symmetric, [5, 10, 5, 10])
  })

  it('take matrices without rows or columns', async () => {
    for (const shape of [
      [0, 3],
      [3, 0],
      [2, 0, 0],
    ]) {
      const parts = (g: Value) => {
        const { left, values, right } = svd(g)
        return left
          .times(values)
          .matmul(right)
          .plus(qr(g).q.matmul(qr(g).r))
      }
      await expectBoth(parts, shape, [], [])
    }
    await expectBoth((g) => eigen(g).vectors.plus(cholesky(g)).plus(solveLower(g, g)), [0, 0], [], [])
  })

  it('are computed once, however many of their results are used', async () => {
    const spied = vi.spyOn(references, 'eigen')
    const again = (g: Value) => {
      const { values, vectors } = eigen(g)
      return vectors.times(values).matmul(vectors.transposed())
    }
    await expectBoth(again, [2, 2], symmetric, symmetric)
    expect(spied).toHaveBeenCalledOnce()
    spied.mockRestore()
  })

  it('leave the first columns', async () => {
    await expectBoth((g) => g.firstColumns(1).plus(g.times(0)), [2, 1, 3], [1, 2, 3, 4, 5, 6], [1, 1, 1, 4, 4, 4])
    // The first column times itself.
    const outer = (g: Value) => g.firstColumns(1).matmul(g.firstColumns(1).transposed())
    await expectBoth(outer, [2, 2], [2, 7, 3, 9], [4, 6, 6, 9])
    const wide = [1, 2, 3, 4, 5, 6]
    await expectBoth((g) => g.firstColumns(9), [2, 3], wide, wide)
  })

  it('say what does not fit', async () => {
    await expect(directions((g) => eigen(g).vectors, [2, 3], [])).rejects.toThrow('as many rows as columns')
    await expect(directions((g) => svd(g.sum()).left, [2, 3], [])).rejects.toThrow(
      'svd: a tensor scalar is not a matrix',
    )
    await expect(directions((g) => solveLower(g, g.transposed().as([1, 4, 1])), [2, 2], [])).rejects.toThrow(
      'the right side must have as many rows',
    )
  })
})
