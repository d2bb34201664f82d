import { type Backend, compile, reference, shaped, wasm, where } from 'fallline'
import { describe, expect, it } from 'vitest'
import { inverseRoot, isFiniteMatrix, largestEigenvalue } from '../../src/parts/inverse-root.ts'
import { type Matrix, matrixOf, rotation, times, transposed } from '../support/matrices.ts'
import { randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'

/** A matrix of given eigenvectors (rows) and eigenvalues. */
const made = (vectors: Matrix, values: readonly number[]): Matrix =>
  times(
    transposed(vectors),
    vectors.map((row, i) => row.map((value) => value * values[i]!)),
  )

async function found(backend: Backend, matrices: readonly Matrix[], p: number, steps = 45) {
  const [count, size] = [matrices.length, matrices[0]!.length]
  const optimizer = optimizerOf(
    ({ g }) => {
      const { root, residual } = inverseRoot(g.as([count, size, size]), p, steps)
      const each = root.batchIndex().times(0)
      const largest = each.plus(largestEigenvalue(g.as([count, size, size])))
      return { direction: g.times(0), state: { root, residual: each.plus(residual), largest } }
    },
    {
      root: shaped(() => [count, size, size]),
      residual: shaped(() => [count, 1, 1]),
      largest: shaped(() => [count, 1, 1]),
    },
  )
  const compiled = await compile(optimizer, { w: [count * size, size] }, { backend })
  compiled.step({ gradients: { w: matrices.flat(2) } })
  const state = compiled.state('w') as Record<string, ArrayLike<number>>
  const all = matrixOf(state.root!, count * size, size)
  const roots = matrices.map((_, b) => all.slice(b * size, (b + 1) * size))
  return { roots, residuals: Array.from(state.residual!), largest: Array.from(state.largest!) }
}

/** The largest difference relative to the largest element. */
function apart(a: Matrix, b: Matrix): number {
  const scale = Math.max(...b.flat().map(Math.abs))
  return Math.max(...a.flat().map((value, i) => Math.abs(value - b.flat()[i]!))) / scale
}

const random = randomNumbers(3)
const spectra: readonly (readonly [string, readonly number[]])[] = [
  ['random', [0.3, 0.9, 1.4, 2.2, 0.7]],
  ['badly scaled, large', [3e12, 9e11, 5e12, 1e12, 2e12]],
  ['badly scaled, small', [3e-12, 9e-13, 5e-12, 1e-12, 2e-12]],
  ['over many sizes', [1e-4, 1e-2, 1, 1e2, 1e4]],
  ['nearly singular', [1, 1, 1, 1e-9, 1e-9]],
  ['with equal eigenvalues', [2, 2, 2, 2, 2]],
  ['of one element', [7]],
]

describe('coupled Newton iterations', () => {
  it.each(spectra)('find the roots of matrices %s within 1e-5 in float64', async (_, values) => {
    for (const p of [1, 2, 3, 4, 6, 8]) {
      const vectors = [rotation(values.length, random), rotation(values.length, random)]
      const matrices = vectors.map((each) => made(each, values))
      const { roots, residuals, largest } = await found(reference(), matrices, p)
      roots.forEach((root, b) => {
        // Where the last step began, no element of M - I was above 1e-6, but rounding of nearly singular matrices adds to it.
        expect(residuals[b]).toBeLessThan(1e-6)
        const exact = made(
          vectors[b]!,
          values.map((value) => value ** (-1 / p)),
        )
        expect(apart(root, exact)).toBeLessThan(1e-5)
        const top = Math.max(...values)
        expect(Math.abs(largest[b]! - top)).toBeLessThan(2e-3 * top)
      })
    }
  })

  it('find roots in float32 where the condition number is below 1e4', async () => {
    for (const p of [2, 4, 6]) {
      for (const values of [
        [0.3, 0.9, 1.4, 2.2],
        [1e-3, 1, 0.1, 2],
        [4e8, 1e9, 2e9, 3e9],
      ]) {
        const vectors = rotation(values.length, random)
        const { roots, residuals } = await found(wasm(), [made(vectors, values)], p, 20)
        const exact = made(
          vectors,
          values.map((value) => value ** (-1 / p)),
        )
        expect(apart(roots[0]!, exact)).toBeLessThan(2e-3)
        expect(residuals[0]).toBeLessThan(1e-2)
      }
    }
  })

  it('say how far from a root they end where they give up or have too few steps', async () => {
    // The first step would let |M - I| grow by more than a fifth.
    const [c, d] = [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6)]
    const turned = made(
      [
        [c, d],
        [d, -c],
      ],
      [1, 1e-3],
    )
    expect((await found(reference(), [turned], 2)).residuals[0]).toBeCloseTo(0.6489, 4)
    const vectors = rotation(4, random)
    const indefinite = made(vectors, [1, -0.5, 0.3, 0.2])
    const { residuals } = await found(reference(), [indefinite, made(vectors, [1, 1e-9, 1, 1])], 4, 5)
    expect(residuals[0]).toBeGreaterThan(0.1)
    expect(residuals[1]).toBeGreaterThan(0.1)
  })

  it('of zeros and of what is not finite are not finite', async () => {
    for (const backend of [reference(), wasm()]) {
      const optimizer = optimizerOf(
        ({ g }) => {
          const matrices = g.as([3, 2, 2])
          const { root } = inverseRoot(matrices, 2, 3)
          const finite = where(isFiniteMatrix(root), 1, 0)
          return { direction: g.times(0), state: { finite } }
        },
        { finite: shaped(() => [3, 1, 1]) },
      )
      const compiled = await compile(optimizer, { w: [6, 2] }, { backend, nonFinite: 'allow' })
      compiled.step({ gradients: { w: [0, 0, 0, 0, 1, 0, 0, Number.NaN, 2, 0, 0, 1] } })
      expect(Array.from(compiled.state('w').finite as Float32Array)).toEqual([0, 0, 1])
    }
  })
})
