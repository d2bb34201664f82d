import { compile, mkor, type Optimizer, reference, sgd, untilLossFlattens, wasm } from 'fallline'
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

describe('MKOR-H', () => {
  it('leaves gradients as they are from when the loss falls slowly, and goes on with the momentum it has', async () => {
    const secondOrderSteps = untilLossFlattens({ window: 2, decay: 0, threshold: 0.5 })
    const settings = { renewalPeriod: 1 }
    const hybrid = await compile(
      mkor(sgd({ learningRate: 1, momentum: 0.5 }), { ...settings, hybrid: true, secondOrderSteps }),
      {
        w: [outputs, columns],
      },
    )
    const whole = await compile(mkor(sgd({ learningRate: 1, momentum: 0.5 }), settings), { w: [outputs, columns] })
    const random = randomNumbers(8)
    // Between looks the loss falls by 4, by 3 and by 1, which is less than half of the most.
    const losses = [10, 6, 5, 3, 2.5, 2, 1.5]
    for (const [index, loss] of losses.entries()) {
      const [g, a, s] = [draw(random, outputs * columns), draw(random, columns), draw(random, outputs)]
      const before = [...hybrid.parameters.w]
      const velocity = [...(hybrid.state('w') as Record<string, Float32Array>).b!]
      const asked: string[] = []
      for (const compiled of [hybrid, whole]) {
        await compiled.minimize(({ gradients, inputs, wants }) => {
          if (compiled === hybrid) asked.push(...wants)
          gradients.w.set(g)
          inputs.activationMean!.w!.set(a)
          inputs.outputGradientMean!.w!.set(s)
        })
      }
      if (index < 6) {
        expect([...hybrid.parameters.w]).toEqual([...whole.parameters.w])
      } else {
        expect(asked).not.toContain('activationMean')
        hybrid.parameters.w.forEach((value, i) => {
          expect(value).toBeCloseTo(before[i]! - (0.5 * velocity[i]! + g[i]!), 5)
        })
      }
      secondOrderSteps.report(loss)
    }
  })

  it('looks at how far the average loss fell, and remembers what it saw', () => {
    const options = { window: 3, decay: 0.5, threshold: 0.2 }
    let schedule = untilLossFlattens(options)
    const losses = [8, 7, 6, 5, 4, 3, 2.9, 2.8, 2.8, 2.8, 2.8, 2.8]
    let average = losses[0]!
    let [before, fastest] = [average, 0]
    let isFlat = false
    losses.forEach((loss, index) => {
      expect(schedule.at(index + 1)).toBe(isFlat ? 1 : 1e9)
      schedule.report(loss)
      schedule = untilLossFlattens(options, JSON.parse(JSON.stringify(schedule.save())))
      average = index === 0 ? loss : 0.5 * average + 0.5 * loss
      if (index % 3 !== 2) return
      fastest = Math.max(fastest, before - average)
      isFlat ||= before - average < 0.2 * fastest
      before = average
    })
    expect(isFlat).toBe(true)
    expect(schedule.at(13)).toBe(1)
    expect(() => schedule.report(Number.NaN)).toThrow('untilLossFlattens: the reported value is NaN')
    expect(() => untilLossFlattens({ threshold: 1 })).toThrow('untilLossFlattens: threshold is 1')
    expect(() => untilLossFlattens({ window: 0 })).toThrow('untilLossFlattens: window is 0')
  })
})
