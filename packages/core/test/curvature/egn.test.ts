import { type EgnOptions, egn } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

/** The solution of a system by Cramer's rule, with determinants by cofactors. */
function cramer(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const determinant = (m: readonly (readonly number[])[]): number =>
    m.length === 0
      ? 1
      : m[0]!.reduce(
          (sum, value, c) =>
            sum + (c % 2 ? -1 : 1) * value * determinant(m.slice(1).map((row) => row.filter((_, j) => j !== c))),
          0,
        )
  const whole = determinant(matrix)
  return right.map(
    (_, c) => determinant(matrix.map((row, r) => row.map((value, j) => (j === c ? right[r]! : value)))) / whole,
  )
}

describe('exact Gauss-Newton', () => {
  it('solves the damped normal equations of all parameters, with softmax and cross entropy', async () => {
    const [size, examples, outputs, damping] = [4, 3, 2, 0.05]
    const random = randomNumbers(3)
    const jacobian = Array.from({ length: examples * outputs * size }, () => random() - 0.5)
    const p = Array.from({ length: examples }, () => 0.1 + 0.8 * random())
    const probabilities = p.flatMap((value) => [value, 1 - value])
    const residuals = probabilities.map((value, i) => value - (i % 2))
    const outputHessians = p.flatMap((value) => [
      value * (1 - value),
      -value * (1 - value),
      -value * (1 - value),
      value * (1 - value),
    ])
    const q = (i: number, j: number) =>
      Math.floor(i / outputs) === Math.floor(j / outputs) ? outputHessians[i * outputs + (j % outputs)]! : 0
    const count = examples * outputs
    const normal = Array.from({ length: size }, (_, a) =>
      Array.from({ length: size }, (__, b) => {
        let sum = a === b ? damping : 0
        for (let i = 0; i < count; i++) {
          for (let j = 0; j < count; j++)
            sum += (jacobian[i * size + a]! * q(i, j) * jacobian[j * size + b]!) / examples
        }
        return sum
      }),
    )
    const gradient = Array.from({ length: size }, (_, a) =>
      residuals.reduce((sum, r, i) => sum + (jacobian[i * size + a]! * r) / examples, 0),
    )
    const expected = cramer(normal, gradient)
    const parameters = { a: new Float64Array(3), b: new Float64Array(1) }
    await egn(parameters, { damping }).minimize(() => ({ residuals, jacobian, outputHessians, examples }))
    ;[...parameters.a, ...parameters.b].forEach((value, i) => {
      expect(value).toBeCloseTo(-expected[i]!, 10)
    })
  })

  /** y = exp(a x): residuals and derivatives at four points. */
  const xs = [0, 0.5, 1, 1.5]
  const model = (truth: number) => {
    const residualsAt = (a: number) => xs.map((x) => Math.exp(a * x) - Math.exp(truth * x))
    const loss = (a: number) => residualsAt(a).reduce((sum, r) => sum + r ** 2, 0) / 8
    return { residualsAt, loss, slopesAt: (a: number) => xs.map((x) => x * Math.exp(a * x)) }
  }

  it('averages directions with bias correction', async () => {
    const { residualsAt, slopesAt } = model(1)
    const a = new Float64Array(1)
    const optimizer = egn({ a }, { momentum: 0.6, momentumForm: 'average', learningRate: 0.5, damping: 0.1 })
    let [x, m] = [0, 0]
    for (let t = 1; t <= 5; t++) {
      const [r, j] = [residualsAt(x), slopesAt(x)]
      const s =
        j.reduce((sum, value, i) => sum + value * r[i]!, 0) / (j.reduce((sum, value) => sum + value ** 2, 0) + 0.4)
      m = 0.6 * m + 0.4 * s
      x -= (0.5 * m) / (1 - 0.6 ** t)
      await optimizer.minimize(({ parameters }) => ({
        residuals: residualsAt(parameters.a[0]!),
        jacobian: slopesAt(parameters.a[0]!),
      }))
      expect(a[0]).toBeCloseTo(x, 11)
    }
  })

  it('searches for a step that lets the loss fall enough', async () => {
    const { residualsAt, slopesAt, loss } = model(0.2)
    const a = new Float64Array([-3])
    const optimizer = egn({ a }, { damping: 1e-6, learningRate: 1, lineSearch: true })
    const rates: number[] = []
    for (let t = 0; t < 12; t++) {
      const before = a[0]!
      const [r, j] = [residualsAt(before), slopesAt(before)]
      const slope = j.reduce((sum, value, i) => sum + value * r[i]!, 0) / 4
      const { learningRate } = await optimizer.minimize(
        ({ parameters }) => ({ residuals: residualsAt(parameters.a[0]!), jacobian: slopesAt(parameters.a[0]!) }),
        ({ parameters }) => loss(parameters.a![0]!),
      )
      rates.push(learningRate)
      expect(loss(a[0]!)).toBeLessThanOrEqual(loss(before) + 0.1 * slope * (a[0]! - before) + 1e-15)
    }
    expect(Math.min(...rates)).toBeLessThan(0.9)
    expect(rates.at(-1)).toBe(1)
    expect(a[0]).toBeCloseTo(0.2, 6)
  })

  it('lets the damping follow how well the model foretells the loss', async () => {
    // Of a linear model the quadratic is exact but for the damping: the gain is 1, so the damping halves.
    const a = new Float64Array([5])
    const linear = egn({ a }, { damping: 0.5, adaptiveDamping: true })
    const seen: number[] = []
    for (let t = 0; t < 4; t++) {
      const { damping, gain } = await linear.minimize(
        ({ parameters }) => ({ residuals: [2 * parameters.a[0]! - 1], jacobian: [2] }),
        ({ parameters }) => (2 * parameters.a![0]! - 1) ** 2 / 2,
      )
      seen.push(damping)
      expect(gain).toBeCloseTo(1, 8)
    }
    expect(seen).toEqual([0.5, 0.25, 0.125, 0.0625])
    const { residualsAt, slopesAt, loss } = model(0.2)
    const b = new Float64Array([-3])
    const poor = egn({ b }, { damping: 1e-6, adaptiveDamping: true })
    const step = () =>
      poor.minimize(
        ({ parameters }) => ({ residuals: residualsAt(parameters.b[0]!), jacobian: slopesAt(parameters.b[0]!) }),
        ({ parameters }) => loss(parameters.b![0]!),
      )
    const first = await step()
    expect(first.gain).toBeLessThan(0.25)
    expect((await step()).damping).toBeCloseTo(1.5e-6, 15)
  })

  it('leaves everything as it was when something fails, and says what is wrong', async () => {
    const a = new Float64Array([1])
    const optimizer = egn({ a }, { momentum: 0.9 })
    const wrong = (what: object) => optimizer.minimize(() => ({ residuals: [1, 2], jacobian: [1, 1], ...what }))
    await expect(wrong({ jacobian: [1] })).rejects.toThrow(
      'egn: the jacobian must have 2 rows of 1, so 2 numbers, not 1',
    )
    await expect(wrong({ examples: 3 })).rejects.toThrow(
      'egn: examples must be a divisor of the number of residuals, 2',
    )
    await expect(wrong({ outputHessians: [1] })).rejects.toThrow('egn: outputHessians must have 2 numbers, not 1')
    await expect(wrong({ residuals: [Number.NaN, 1] })).rejects.toThrow('not finite')
    await expect(wrong({ jacobian: [Number.NaN, 1] })).rejects.toThrow('not finite')
    expect([...a]).toEqual([1])
    await wrong({})
    expect(a[0]).toBeCloseTo(1 - 3 / 4, 12)
    const search = egn({ a }, { lineSearch: true })
    await expect(search.minimize(() => ({ residuals: [1], jacobian: [1] }))).rejects.toThrow(
      'egn: lineSearch needs losses',
    )
    const options = (given: EgnOptions) => () => egn({ a }, given)
    expect(options({ damping: 0 })).toThrow('egn: damping must be a number above 0, not 0')
    expect(options({ momentum: 1 })).toThrow('egn: momentum must be a number from 0 to below 1, not 1')
    expect(options({ momentumForm: 'none' as 'sum' })).toThrow(
      'egn: momentumForm must be one of sum, average, not none',
    )
  })
})
