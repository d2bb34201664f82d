import { compile, mkor, type Optimizer, reference, sgd, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

const [outputs, columns] = [3, 4]

type Matrix = number[][]

const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => (i === j ? 1 : 0)))
const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)))
const flat = (matrix: Matrix) => matrix.flat()
const matrixOf = (values: readonly number[], size: number): Matrix =>
  Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size))

/** By Gauss and Jordan. */
function inverse(matrix: Matrix): Matrix {
  const size = matrix.length
  const rows = matrix.map((row, i) => [...row, ...identity(size)[i]!])
  for (let k = 0; k < size; k++) {
    const pivot = rows[k]!.map((x) => x / rows[k]![k]!)
    rows.forEach((row, i) => {
      rows[i] = i === k ? pivot : row.map((x, j) => x - row[k]! * pivot[j]!)
    })
  }
  return rows.map((row) => row.slice(size))
}

const draw = (random: () => number, count: number) => Array.from({ length: count }, random)
const norm = (values: readonly number[]) => Math.hypot(...values)

describe('MKOR inverts ζ F + (1 - ζ) I with a product added', () => {
  it.each([
    ['in every step', mkor(sgd({ learningRate: 1 }), { renewalPeriod: 1 }), [2, 3, 4, 5, 6]],
    ['every third step', mkor(sgd({ learningRate: 1 }), { renewalPeriod: 3 }), [4]],
    ['in the first steps too', mkor(sgd({ learningRate: 1 }), { renewalPeriod: 5, warmupSteps: 3 }), [2, 3, 6]],
  ] as [string, Optimizer, number[]][])('%s', async (_, optimizer, renewals) => {
    for (const backend of [reference(), wasm()]) {
      const compiled = await compile(optimizer, { w: [outputs, columns], b: [outputs] }, { backend })
      const random = randomNumbers(5)
      let [A, S] = [identity(columns), identity(outputs)]
      const w = new Array<number>(outputs * columns).fill(0)
      for (let step = 1; step <= 6; step++) {
        const [g, a, s] = [draw(random, outputs * columns), draw(random, columns), draw(random, outputs)]
        const bias = draw(random, outputs)
        const asked: string[] = []
        await compiled.minimize(({ gradients, inputs, wants }) => {
          asked.push(...wants)
          gradients.w!.set(g)
          gradients.b!.set(bias)
          inputs.activationMean!.w!.set(a)
          inputs.outputGradientMean!.w!.set(s)
        })
        expect(asked.includes('activationMean')).toBe(renewals.includes(step))
        if (renewals.includes(step)) {
          const renewed = (F: Matrix, v: readonly number[]) => {
            const M = F.map((row, i) => row.map((x, j) => 0.95 * x + (i === j ? 0.05 : 0)))
            return inverse(inverse(M).map((row, i) => row.map((x, j) => x + v[i]! * v[j]!)))
          }
          ;[A, S] = [renewed(A, a), renewed(S, s)]
        }
        const u = flat(product(product(S, matrixOf(g, columns)), A))
        for (const [i, x] of u.entries()) w[i]! -= (x * norm(g)) / norm(u)
        w.forEach((expected, i) => {
          expect(Math.abs(compiled.parameters.w![i]! - expected)).toBeLessThan(1e-5)
        })
      }
      compiled.dispose()
    }
  })

  it('and leaves alone what is 0 or no matrix', async () => {
    const compiled = await compile(mkor(sgd({ learningRate: 1 })), { w: [2, 2], b: [2] })
    compiled.step({ gradients: { w: [0, 0, 0, 0], b: [1, 2] } })
    expect([...compiled.parameters.w!, ...compiled.parameters.b!]).toEqual([0, 0, 0, 0, -1, -2])
    expect(Object.keys(compiled.inputs.activationMean!)).toEqual(['w'])
  })
})
