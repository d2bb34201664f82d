import { type EvaluationRequest, type LazyNewtonOptions, lazyNewton } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

type Request = Pick<EvaluationRequest, 'parameters' | 'gradients'>

/** A loss of a point, with its gradient and Hessian. */
interface Problem {
  readonly loss: (x: readonly number[]) => number
  readonly gradient: (x: readonly number[]) => number[]
  readonly hessian: (x: readonly number[]) => number[][]
}

const start = (x: readonly number[]) => ({ a: Float64Array.from(x.slice(0, 1)), b: Float64Array.from(x.slice(1)) })
type Arrays = ReturnType<typeof start>
const flat = ({ a, b }: Arrays) => [...a, ...b]

function evaluateOf(problem: Problem) {
  return ({ parameters, gradients }: Request) => {
    const x = flat(parameters as unknown as Arrays)
    const g = problem.gradient(x)
    gradients.a!.set(g.slice(0, 1))
    gradients.b!.set(g.slice(1))
    return problem.loss(x)
  }
}

function productOf(problem: Problem, parameters: Arrays) {
  const matrix = problem.hessian(flat(parameters))
  return (vector: Float64Array) => matrix.map((row) => row.reduce((sum, value, j) => sum + value * vector[j]!, 0))
}

/** log Σ exp(⟨aᵢ, x⟩): convex; its Hessian is Lipschitz. */
const rows = [
  [1, 0.5],
  [-1, 0.3],
  [0.2, -1.5],
  [-0.4, 0.9],
]
function softmax(x: readonly number[]) {
  const scores = rows.map((row) => Math.exp(row[0]! * x[0]! + row[1]! * x[1]!))
  const total = scores.reduce((sum, value) => sum + value, 0)
  return { total, p: scores.map((value) => value / total) }
}
const meanRow = (p: readonly number[]) => [0, 1].map((i) => rows.reduce((sum, row, k) => sum + p[k]! * row[i]!, 0))
const convex: Problem = {
  loss: (x) => Math.log(softmax(x).total),
  gradient: (x) => meanRow(softmax(x).p),
  hessian(x) {
    const { p } = softmax(x)
    const mean = meanRow(p)
    return [0, 1].map((i) =>
      [0, 1].map((j) => rows.reduce((sum, row, k) => sum + p[k]! * row[i]! * row[j]!, 0) - mean[i]! * mean[j]!),
    )
  },
}

/** cos x₀ + cos x₁ + x₀ x₁ / 4 and a bowl: Hessian Lipschitz with constant 1, a maximum near 0. */
const wavy: Problem = {
  loss: ([x = 0, y = 0]) => Math.cos(x) + Math.cos(y) + (x * y) / 4 + (x ** 2 + y ** 2) / 20,
  gradient: ([x = 0, y = 0]) => [-Math.sin(x) + y / 4 + x / 10, -Math.sin(y) + x / 4 + y / 10],
  hessian: ([x = 0, y = 0]) => [
    [-Math.cos(x) + 0.1, 0.25],
    [0.25, -Math.cos(y) + 0.1],
  ],
}

describe('Newton with lazy Hessians', () => {
  it('goes to the global minimum of the cubic model, with a Hessian that is as old as the period says', async () => {
    const random = randomNumbers(8)
    const [strength, period] = [2, 3]
    for (const first of [
      [0.3, -0.2],
      [0, 0],
      [1.5, 2],
    ]) {
      const parameters = start(first)
      const optimizer = lazyNewton(parameters, { strength, period })
      let hessian: number[][] = []
      for (let step = 0; step < 6; step++) {
        const x = flat(parameters)
        if (step % period === 0) hessian = wavy.hessian(x)
        const g = wavy.gradient(x)
        let products = 0
        await optimizer.minimize(evaluateOf(wavy), (vector) => {
          products++
          return productOf(wavy, parameters)(vector)
        })
        expect(products).toBe(step % period === 0 ? 2 : 0)
        const model = (h: readonly number[]) =>
          h.reduce((sum, value, i) => sum + g[i]! * value, 0) +
          h.reduce((sum, value, i) => sum + value * hessian[i]!.reduce((s, each, j) => s + each * h[j]!, 0), 0) / 2 +
          (strength / 6) * Math.hypot(...h) ** 3
        const taken = flat(parameters).map((value, i) => value - x[i]!)
        for (let trial = 0; trial < 400; trial++) {
          const radius = trial < 200 ? 6 : 0.01
          const near = trial < 200 ? [0, 0] : taken
          const other = near.map((value) => value + radius * (random() - 0.5))
          expect(model(taken)).toBeLessThanOrEqual(model(other) + 1e-12)
        }
      }
    }
  })

  it('takes the regularized step of the quadratic model', async () => {
    const parameters = start([1, -0.5])
    const optimizer = lazyNewton(parameters, { regularization: 'quadratic', strength: 0.7, period: 2 })
    let matrix: number[][] = []
    for (let step = 0; step < 5; step++) {
      const x = flat(parameters)
      if (step % 2 === 0) matrix = convex.hessian(x)
      const g = convex.gradient(x)
      const lambda = Math.sqrt(0.7 * Math.hypot(...g))
      const [[p, q], [r, s]] = matrix.map((row, i) => row.map((value, j) => value + (i === j ? lambda : 0))) as [
        [number, number],
        [number, number],
      ]
      const determinant = p * s - q * r
      const expected = [x[0]! - (s * g[0]! - q * g[1]!) / determinant, x[1]! - (p * g[1]! - r * g[0]!) / determinant]
      await optimizer.minimize(evaluateOf(convex), productOf(convex, parameters))
      flat(parameters).forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 11)
      })
    }
  })

  it.each([
    ['cubic', 6],
    ['quadratic', 3],
  ] as const)('finds the minimum of a convex loss: %s', async (regularization, factor) => {
    const parameters = start([3, -2])
    const period = 2
    const optimizer = lazyNewton(parameters, { regularization, strength: factor * period, period })
    for (let step = 0; step < 120; step++) await optimizer.minimize(evaluateOf(convex), productOf(convex, parameters))
    expect(Math.hypot(...convex.gradient(flat(parameters)))).toBeLessThan(1e-8)
  })

  it('leaves a maximum and comes to a minimum, the loss falling at every step with M = 6 m L', async () => {
    const parameters = start([0, 0])
    const period = 3
    const optimizer = lazyNewton(parameters, { strength: 6 * period, period })
    let last = wavy.loss([0, 0])
    for (let step = 0; step < 200; step++) {
      await optimizer.minimize(evaluateOf(wavy), productOf(wavy, parameters))
      const loss = wavy.loss(flat(parameters))
      expect(loss).toBeLessThanOrEqual(last + 1e-14)
      last = loss
    }
    const x = flat(parameters)
    expect(Math.hypot(...wavy.gradient(x))).toBeLessThan(1e-8)
    const [[p, q], [r, s]] = wavy.hessian(x) as [[number, number], [number, number]]
    expect(p).toBeGreaterThan(0)
    expect(p * s - q * r).toBeGreaterThan(0)
  })

  it('leaves everything as it was when something fails, and says what is wrong', async () => {
    const parameters = start([0.3, 0.1])
    const optimizer = lazyNewton(parameters, { period: 5 })
    const evaluate = evaluateOf(wavy)
    await expect(optimizer.minimize(evaluate, () => [1])).rejects.toThrow('lazyNewton: a product has 1 numbers, not 2')
    await expect(optimizer.minimize(evaluate, () => [1, Number.NaN])).rejects.toThrow('product 1 is not finite')
    await expect(optimizer.minimize(() => Number.NaN, productOf(wavy, parameters))).rejects.toThrow('finite number')
    expect(flat(parameters)).toEqual([0.3, 0.1])
    const quadratic = lazyNewton(parameters, { regularization: 'quadratic', strength: 1e-6 })
    await expect(quadratic.minimize(evaluate, productOf(wavy, parameters))).rejects.toThrow(
      "use regularization: 'cubic'",
    )
    const wrong = (options: LazyNewtonOptions) => () => lazyNewton(start([1, 2]), options)
    expect(wrong({ strength: 0 })).toThrow('lazyNewton: strength must be a number above 0, not 0')
    expect(wrong({ period: 0 })).toThrow('lazyNewton: period must be a whole number from 1 up, not 0')
    expect(wrong({ regularization: 'none' as 'cubic' })).toThrow('regularization must be one of cubic, quadratic')
  })
})
