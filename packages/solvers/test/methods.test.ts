import { describe, expect, it } from 'vitest'
import { type MinimizerName, minimize, minimizers, Problem } from '../src/index.ts'
import { dot, plus } from '../src/vector.ts'
import { rosenbrock } from './support/problems.ts'

/** xᵀAx/2 - bᵀx of the matrix with 4, 1 and 1 on its diagonals, and a right side that is 1, 2, 3, ... */
function quadratic(n: number) {
  const times = (x: Float64Array) => x.map((element, i) => 4 * element + (x[i - 1] ?? 0) + (x[i + 1] ?? 0))
  const b = Float64Array.from({ length: n }, (_, i) => i + 1)
  return {
    value: (x: Float64Array) => dot(x, times(x)) / 2 - dot(b, x),
    gradient: (x: Float64Array) => plus(times(x), -1, b),
    hessianProduct: (_: Float64Array, direction: Float64Array) => times(direction),
    hessian: () =>
      Array.from({ length: n }, (_, i) => times(Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)))),
  }
}

const named = (names: MinimizerName[]) => names

describe('on convex quadratics', () => {
  it.each(named(['newton-cg', 'tnc', 'trust-ncg', 'trust-exact', 'dogleg']))(
    '%s needs few steps, and takes no slopes for products',
    (method) => {
      const { status, iterations, evaluations } = minimize(quadratic(30), new Float64Array(30), {
        method,
        tolerances: { gradient: 1e-9 },
      })
      expect(status).toEqual({ kind: 'converged', test: 'gradient' })
      // The radius has to grow from 1 first.
      expect(iterations).toBeLessThanOrEqual(14)
      expect(evaluations.gradients).toBeLessThanOrEqual(iterations + 1)
      expect(evaluations.hessianProducts + evaluations.hessians).toBeGreaterThan(0)
    },
  )

  it('powell has the minimum over two variables after two sweeps, in which its directions become conjugate', () => {
    const errors: number[] = []
    // The minimum is at (2, 7) / 15, where the value is -(2 + 14) / 30.
    minimize(quadratic(2).value, [5, -7], {
      method: 'powell',
      tolerances: { gradient: 1e-8 },
      callback: ({ value }) => void errors.push(value + 8 / 15),
    })
    expect(errors[1]).toBeGreaterThan(1e-6)
    expect(Math.abs(errors[2]!)).toBeLessThan(1e-9)
  })

  it('sequential quadratic programming with the true matrix is one program: its multipliers balance the slope', () => {
    const n = 5
    const { gradient } = quadratic(n)
    const { point } = minimize(quadratic(n), new Float64Array(n), {
      method: 'slsqp',
      constraints: [{ kind: 'equality', value: (x) => x.reduce((sum, element) => sum + element, 0) - 1 }],
      tolerances: { gradient: 1e-7 },
    })
    const slopes = gradient(point)
    for (const slope of slopes) expect(slope).toBeCloseTo(slopes[0]!, 5)
    expect(point.reduce((sum, element) => sum + element, 0)).toBeCloseTo(1, 7)
  })
})

describe('trust-exact', () => {
  it('leaves a saddle where the slope has no part along the way down: the hard case', () => {
    const saddle = {
      value: ([x, y]: Float64Array) => x! ** 2 - y! ** 2 + y! ** 4 / 2,
      gradient: ([x, y]: Float64Array) => [2 * x!, -2 * y! + 2 * y! ** 3],
      hessian: ([, y]: Float64Array) => [
        [2, 0],
        [0, -2 + 6 * y! ** 2],
      ],
    }
    const { value, point } = minimize(saddle, [1, 0], { method: 'trust-exact' })
    expect(value).toBeCloseTo(-0.5, 8)
    expect(Math.abs(point[1]!)).toBeCloseTo(1, 5)
    // Methods that see the slope only stay on the line, where they find the saddle.
    expect(minimize(saddle, [1, 0], { method: 'bfgs' }).value).toBeCloseTo(0, 8)
  })
})

describe('l-bfgs-b', () => {
  it('goes as L-BFGS where there are no bounds', () => {
    const runs = named(['l-bfgs', 'l-bfgs-b']).map((method) => {
      const values: number[] = []
      minimize(rosenbrock, [1.3, 0.7, 0.8, 1.9, 1.2], { method, callback: ({ value }) => void values.push(value) })
      return values
    })
    const [without, within] = runs as [number[], number[]]
    expect(within.length).toBe(without.length)
    without.slice(0, 12).forEach((value, i) => {
      expect(within[i]! / value).toBeCloseTo(1, 6)
    })
  })

  it('finds which of many variables are at their bounds', () => {
    const n = 60
    const { gradient } = quadratic(n)
    const bounds = Array.from({ length: n }, (_, i) => [i % 3 ? 0 : null, 5 + (i % 5)] as const)
    const { point, status, residual } = minimize(quadratic(n), new Float64Array(n), { bounds })
    expect(status.kind).toBe('converged')
    expect(residual).toBeLessThanOrEqual(1e-5)
    const slopes = gradient(point)
    let held = 0
    point.forEach((element, i) => {
      const [lower, upper] = bounds[i]!
      if (element === upper) expect(slopes[i]).toBeLessThanOrEqual(1e-5)
      else if (element === lower) expect(slopes[i]).toBeGreaterThanOrEqual(-1e-5)
      else expect(Math.abs(slopes[i]!)).toBeLessThanOrEqual(1e-5)
      if (element === upper || element === lower) held++
    })
    expect(held).toBeGreaterThan(10)
  })
})

describe('tolerances', () => {
  it.each(named(['bfgs', 'l-bfgs', 'l-bfgs-b', 'cg', 'newton-cg', 'tnc', 'trust-ncg', 'slsqp']))(
    '%s ends by the value, and by the step, where they are asked for',
    (method) => {
      const byValue = minimize(rosenbrock, [-1.2, 1], { method, tolerances: { gradient: 0, value: 1e-3 } })
      expect(byValue.status).toEqual({ kind: 'converged', test: 'value' })
      const byStep = minimize(rosenbrock, [-1.2, 1], { method, tolerances: { gradient: 0, step: 1e-2 } })
      expect(byStep.status).toEqual({ kind: 'converged', test: 'step' })
      const bySlope = minimize(rosenbrock, [-1.2, 1], { method })
      expect(byValue.evaluations.values).toBeLessThan(bySlope.evaluations.values)
    },
  )

  it('of the gradient is what the residual of the last state is below', () => {
    for (const gradient of [1e-2, 1e-6]) {
      const { residual, status } = minimize(rosenbrock, [-1.2, 1], { tolerances: { gradient } })
      expect(status.kind).toBe('converged')
      expect(residual).toBeLessThanOrEqual(gradient)
      expect(residual).toBeGreaterThan(0)
    }
  })
})

describe('differences', () => {
  const cubic = (x: Float64Array) => x[0]! ** 3 + 2 * x[0]! * x[1]!

  it.each([
    ['two-point', 1e-6],
    ['three-point', 1e-8],
  ] as const)('of %s are exact to %d, on both sides of zero, and stay within bounds', (differences, accuracy) => {
    for (const x of [
      [2, 3],
      [-2, -3],
      [2, -3],
      [0, 0],
    ] as const) {
      for (const bounds of [
        undefined,
        [
          [x[0], 9],
          [-9, x[1]],
        ],
        [
          [-9, x[0]],
          [x[1], 9],
        ],
      ] as const) {
        let outside = 0
        const watched = (point: Float64Array) => {
          if (bounds?.some(([lower, upper], i) => point[i]! < lower || point[i]! > upper)) outside++
          return cubic(point)
        }
        const problem = new Problem(watched, 2, { differences, ...(bounds ? { bounds } : {}) })
        const gradient = problem.gradient(Float64Array.from(x))
        expect(Math.abs(gradient[0]! - (3 * x[0] ** 2 + 2 * x[1]))).toBeLessThan(accuracy)
        expect(Math.abs(gradient[1]! - 2 * x[0])).toBeLessThan(accuracy)
        expect(outside).toBe(0)
      }
    }
  })

  it.each(named(['bfgs', 'l-bfgs-b', 'cg', 'slsqp']))(
    '%s ends where they are not as exact as the tolerance, long before the limit of iterations',
    (method) => {
      const { value, status, iterations } = minimize(rosenbrock.value, [-1.2, 1, 0.5], {
        method,
        tolerances: { gradient: 1e-12 },
      })
      expect(value).toBeLessThan(1e-9)
      expect(status.kind).toBe('failed')
      expect(iterations).toBeLessThan(300)
    },
  )
})

describe('constraints of a problem', () => {
  it('have their slopes from differences that stay within bounds, and count what that costs', () => {
    const asked: number[] = []
    const problem = new Problem((x) => x[0]!, 2, {
      bounds: [
        [0, 1],
        [0, 1],
      ],
      constraints: [
        { kind: 'inequality', value: (x) => [x[0]! ** 2, x[0]! * x[1]!] },
        {
          kind: 'equality',
          value: (x) => {
            asked.push(...x)
            return x[0]! + 3 * x[1]!
          },
        },
      ],
    })
    const x = Float64Array.of(1, 1)
    expect(problem.constraints(x)).toEqual({ values: Float64Array.of(4, 1, 1), equalities: 1 })
    const rows = problem.constraintJacobian(x)
    for (const [i, row] of [
      [1, 3],
      [2, 0],
      [1, 1],
    ].entries()) {
      row.forEach((slope, j) => {
        expect(rows[i]![j]).toBeCloseTo(slope, 6)
      })
    }
    expect(Math.max(...asked)).toBe(1)
    expect(problem.evaluations.constraints).toBe(1 + 2 * 3)
    expect(minimizers.slsqp.takes.constraints).toBe(true)
  })

  it('take a Jacobian of the right size only', () => {
    const problem = new Problem((x) => x[0]!, 2, {
      constraints: [{ kind: 'equality', value: (x) => x[0]!, jacobian: () => [1] }],
    })
    expect(() => problem.constraintJacobian(Float64Array.of(1, 1))).toThrow(
      'jacobian: 1 numbers were given for 2 variables',
    )
  })
})
