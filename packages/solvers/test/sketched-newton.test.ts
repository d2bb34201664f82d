import { describe, expect, it } from 'vitest'
import { type Constraint, type SketchedNewtonState, sketchedNewton } from '../src/index.ts'
import { constraintsOf, hockSchittkowski } from './support/hock-schittkowski.ts'

const equalities = hockSchittkowski.filter(({ inequalities, bounds }) => !inequalities && !bounds)

describe('sketched Newton', () => {
  it('has problems of Hock and Schittkowski', () => {
    expect(equalities.length).toBeGreaterThanOrEqual(4)
  })
  it.each(equalities)('number $number', (problem) => {
    const { objective, start, optimum } = problem
    const { value, violation, status } = sketchedNewton(objective, constraintsOf(problem), start, {
      differences: 'three-point',
    })
    expect(status).toEqual({ kind: 'converged', test: 'gradient' })
    expect(violation).toBeLessThan(1e-5)
    expect(Math.abs(value - optimum)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(optimum)))
  })

  // Σ exp(a_i x_i) - x_i on a sphere and a plane, with exact derivatives.
  const n = 8
  const rates = Array.from({ length: n }, (_, i) => 0.5 + i / n)
  const objective = {
    value: (x: Float64Array) => x.reduce((sum, each, i) => sum + Math.exp(rates[i]! * each) - each, 0),
    gradient: (x: Float64Array) => x.map((each, i) => rates[i]! * Math.exp(rates[i]! * each) - 1),
  }
  const constraints: Constraint[] = [
    {
      kind: 'equality',
      value: (x) => x.reduce((sum, each) => sum + each * each, -4),
      jacobian: (x) => x.map((each) => 2 * each),
    },
    { kind: 'equality', value: (x) => x.reduce((sum, each) => sum + each, -1), jacobian: (x) => x.map(() => 1) },
  ]
  const from = (sharpen: boolean) => {
    const states: SketchedNewtonState[] = []
    const result = sketchedNewton(objective, constraints, new Float64Array(n).fill(0.5).fill(1, 0, 2), {
      sharpen,
      tolerance: 1e-9,
      callback: (state) => states.push(state),
    })
    return { ...result, states }
  }

  it('takes unit steps near the solution and converges linearly, by the accuracy of its directions', () => {
    const { states, status } = from(false)
    expect(status.kind).toBe('converged')
    const near = states.filter(({ residual }) => residual < 1e-2)
    expect(near.length).toBeGreaterThan(2)
    for (const { length } of near.slice(1)) expect(length).toBe(1)
    for (let k = 2; k < near.length; k++) {
      // Of the Euclidean norm; the residual is the largest element.
      expect(near[k]!.residual).toBeLessThanOrEqual(1.2 * Math.sqrt(n + 2) * near[k]!.accuracy * near[k - 1]!.residual)
    }
    for (const { accuracy } of states) expect(accuracy).toBeLessThanOrEqual(0.1)
    // The directions are not exact.
    expect(Math.max(...near.map(({ accuracy }) => accuracy))).toBeGreaterThan(1e-3)
  })

  it('converges faster where the accuracy becomes sharper', () => {
    const [plain, sharp] = [from(false), from(true)]
    expect(sharp.status.kind).toBe('converged')
    // By what the residual falls in a step near the solution, in the geometric mean.
    const [slow, fast] = [plain, sharp].map(({ states }) => {
      const near = states.filter(({ residual }) => residual < 1e-2).map(({ residual }) => residual)
      expect(near.length).toBeGreaterThan(1)
      return (near.at(-1)! / near[0]!) ** (1 / (near.length - 1))
    })
    expect(fast).toBeLessThan(slow! / 4)
    expect(sharp.value).toBeCloseTo(plain.value, 8)
  })

  it('ends where the objective throws or is not a number, says what is wrong, same seed same run', () => {
    expect([0, 1].map(() => [...from(false).point])).toSatisfy(
      ([first, second]: number[][]) => JSON.stringify(first) === JSON.stringify(second),
    )
    const thrown = sketchedNewton(
      () => {
        throw new Error('no value')
      },
      constraints,
      new Float64Array(n),
    )
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no value' })
    expect(sketchedNewton(() => Number.NaN, [], [1]).status.kind).toBe('failed')
    const opposite: Constraint[] = [{ kind: 'equality', value: (x) => [x[0]! - 1, x[0]! + 1] }]
    expect(sketchedNewton((x) => x[0]! ** 2 + x[1]! ** 2, opposite, [0, 1], { iterations: 50 }).status.kind).toBe(
      'failed',
    )
    expect(() => sketchedNewton((x) => x[0]!, [{ kind: 'inequality', value: (x) => x[0]! }], [1])).toThrow(
      'constraints[0]',
    )
    expect(() => sketchedNewton((x) => x[0]!, [], [Infinity])).toThrow('start[0]')
    expect(sketchedNewton((x) => (x[0]! - 2) ** 2, [], [0]).point[0]).toBeCloseTo(2, 5)
  })
})
