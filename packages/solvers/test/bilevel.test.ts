import { describe, expect, it } from 'vitest'
import {
  type BilevelMethodName,
  type BilevelOptions,
  type BilevelProblem,
  bilevel,
  bilevelMethods,
} from '../src/index.ts'

// Lower level: a y² / 2 - b x y, so that y* = b x / a; upper level: (y - t)² / 2 + r x² / 2. The hypergradient is (b / a) (b x / a - t) + r x.
const [a, b, t, r] = [2, 3, 1, 0.5]
const quadratic: BilevelProblem = {
  upper: { gradientX: (x) => [r * x[0]!], gradientY: (_, y) => [y[0]! - t] },
  lower: { gradientX: (_, y) => [-b * y[0]!], gradientY: (x, y) => [a * y[0]! - b * x[0]!] },
}
const solution = ((b / a) * t) / ((b / a) ** 2 + r)
const hypergradient = (x: number) => (b / a) * ((b * x) / a - t) + r * x

/** The gradient of the penalized problem in closed form: y = (b x + σ t) / (a + σ), (1 / σ) (-b) (y - b x / a) + r x. */
const penalized = (x: number, lambda: number) => {
  const sigma = 1 / lambda
  return -lambda * b * ((b * x + sigma * t) / (a + sigma) - (b * x) / a) + r * x
}

describe('methods of bilevel', () => {
  it.each(['penalty', 'f2sa'] as const)(
    '%s: ends where its penalized gradient is zero, O(1 / λ) from the solution',
    (method) => {
      const errors = [10, 100, 1000].map((lambda) => {
        const { x, status } = bilevel(
          quadratic,
          { x: [2], y: [0] },
          {
            method,
            penalty: lambda,
            growth: 0,
            innerStep: 0.4,
            tolerance: 1e-6,
          },
        )
        expect(status).toEqual({ kind: 'converged', test: 'residual' })
        expect(penalized(x[0]!, lambda)).toBeCloseTo(0, 5)
        return Math.abs(hypergradient(x[0]!))
      })
      expect(errors[0]! / errors[1]!).toBeGreaterThan(8)
      expect(errors[1]! / errors[2]!).toBeGreaterThan(8)
      expect(errors[2]).toBeLessThan(1e-3)
    },
  )

  it('f2sa: the hypergradient vanishes as λ grows', () => {
    const after = (iterations: number) =>
      Math.abs(
        hypergradient(
          bilevel(quadratic, { x: [2], y: [0] }, { method: 'f2sa', innerStep: 0.4, iterations, tolerance: 0 }).x[0]!,
        ),
      )
    const [early, late] = [after(250), after(2000)]
    // Eight times as many iterations: λ doubles.
    expect(late).toBeLessThan(0.6 * early)
    expect(late).toBeLessThan(0.03)
  })

  it('boRep: the hypergradient of a quadratic problem is exact, and the step bounds how near x comes', () => {
    const { x, y } = bilevel(quadratic, { x: [2], y: [0] }, { method: 'boRep', innerStep: 0.4, iterations: 2000 })
    expect(x[0]).toBeCloseTo(solution, 2)
    expect(y[0]).toBeCloseTo((b * x[0]!) / a, 2)
    let compared = 0
    bilevel(
      quadratic,
      { x: [2], y: [0] },
      {
        method: 'boRep',
        innerStep: 0.4,
        inner: 40,
        period: 1,
        iterations: 5,
        callback: ({ x, residual }) => {
          compared += Math.abs(residual - Math.abs(hypergradient(x[0]!)))
        },
      },
    )
    expect(compared).toBeLessThan(1e-5)
  })

  it('boRep: takes smoothness that is not bounded, where a step of the gradient itself overflows', () => {
    // Upper level exp(y²) with y* = x: at 5 its slope is 7e11.
    const steep: BilevelProblem = {
      upper: { gradientX: () => [0], gradientY: (_, y) => [2 * y[0]! * Math.exp(y[0]! ** 2)] },
      lower: { gradientX: (x, y) => [x[0]! - y[0]!], gradientY: (x, y) => [y[0]! - x[0]!] },
    }
    const normalized = bilevel(
      steep,
      { x: [5], y: [5] },
      {
        method: 'boRep',
        step: 0.3,
        innerStep: 0.9,
        iterations: 2000,
      },
    )
    expect(Math.abs(normalized.x[0]!)).toBeLessThan(0.05)
    const plain = bilevel(steep, { x: [5], y: [5] }, { method: 'penalty', step: 0.3, iterations: 50 })
    expect(plain.status.kind).toBe('failed')
  })

  it('lvHba: solves a lower level whose constraint couples it to x', () => {
    // y* = argmin (y - 2 x)² / 2 with x + y ≤ 1, upper (x - 0.8)² + (y - 0.5)²: the constraint holds y to 1 - x; (0.65, 0.35).
    const problem: BilevelProblem = {
      upper: { gradientX: (x) => [2 * (x[0]! - 0.8)], gradientY: (_, y) => [2 * (y[0]! - 0.5)] },
      lower: { gradientX: (x, y) => [-2 * (y[0]! - 2 * x[0]!)], gradientY: (x, y) => [y[0]! - 2 * x[0]!] },
      constraints: {
        values: (x, y) => [x[0]! + y[0]! - 1],
        jacobianX: () => [[1]],
        jacobianY: () => [[1]],
        project: (x, y) => {
          const excess = Math.max(0, x[0]! + y[0]! - 1) / 2
          return [[x[0]! - excess], [y[0]! - excess]]
        },
      },
    }
    const settings = { method: 'lvHba', step: 0.2, innerStep: 0.3, growth: 0, tolerance: 1e-8 } as const
    const { x, y, status } = bilevel(problem, { x: [0], y: [0] }, settings)
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(x[0]).toBeCloseTo(0.65, 6)
    expect(y[0]).toBeCloseTo(0.35, 6)
    // Without the constraint x would be where (x - 0.8)² + (2 x - 0.5)² is least, which is met as the penalty grows.
    const { constraints: _, ...free } = problem
    const errors = [10, 40].map((penalty) => {
      const open = bilevel(free, { x: [0], y: [0] }, { ...settings, penalty, iterations: 4000 })
      return Math.abs(open.x[0]! - 0.36)
    })
    expect(errors[1]).toBeLessThan(0.02)
    expect(errors[1]).toBeLessThan(0.5 * errors[0]!)
  })

  const names = Object.keys(bilevelMethods) as BilevelMethodName[]
  const options: BilevelOptions = { innerStep: 0.4, iterations: 500, penalty: 30, tolerance: 1e-3 }
  it.each(names)('%s: comes near, keeps to the set, changes nothing given, names what is wrong', (method) => {
    const start = { x: [2], y: Float64Array.of(0) }
    const { x } = bilevel(quadratic, start, { ...options, method, iterations: 5000 })
    expect(Math.abs(x[0]! - solution)).toBeLessThan(0.1)
    expect([start.x[0], start.y[0]]).toEqual([2, 0])
    const held = bilevel({ ...quadratic, projectX: (at) => [Math.max(1, at[0]!)] }, start, { ...options, method })
    expect(held.x[0]).toBeCloseTo(1, 1)
    let asked = 0
    const throwing: BilevelProblem = {
      ...quadratic,
      upper: {
        ...quadratic.upper,
        gradientX: (at) => {
          if (++asked > 2) throw new Error('no more')
          return [r * at[0]!]
        },
      },
    }
    const thrown = bilevel(throwing, start, { ...options, method })
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(Number.isFinite(thrown.x[0])).toBe(true)
    const lost = bilevel({ ...quadratic, upper: { gradientX: () => [Number.NaN], gradientY: () => [0] } }, start, {
      ...options,
      method,
    })
    expect(lost.status).toEqual({ kind: 'failed', reason: 'the residual is not a number' })
    expect(() => bilevel(quadratic, { x: [Number.NaN], y: [0] }, { method })).toThrow('start.x[0]: NaN')
    expect(() => bilevel(quadratic, start, { method, step: 0 })).toThrow('step: 0 is not above 0')
  })
})
