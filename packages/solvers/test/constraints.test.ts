import { describe, expect, it } from 'vitest'
import { type Constraint, type MinimizerName, minimize, minimizers } from '../src/index.ts'
import { quadraticProgram } from '../src/quadratic-program.ts'
import { dot } from '../src/vector.ts'
import { constraintsOf, hockSchittkowski } from './support/hock-schittkowski.ts'

const names = (Object.keys(minimizers) as MinimizerName[]).filter(
  (name) => (minimizers[name].takes as { constraints?: boolean }).constraints,
)

/** How near to the optimum, relative to 1 + |f|: methods that take values only stop where linear models gain nothing. */
const accuracies: Readonly<Record<string, number>> = { slsqp: 1e-6, 'augmented-lagrangian': 1e-6, cobyla: 2e-4 }

describe.each(names)('%s on problems of Hock and Schittkowski', (method) => {
  it.each(hockSchittkowski)('number $number', (problem) => {
    const { objective, start, optimum, bounds } = problem
    const result = minimize(objective, start, {
      method,
      constraints: constraintsOf(problem),
      ...(bounds ? { bounds } : {}),
      tolerances: { gradient: 1e-6 },
    })
    const { point, value, violation, status } = result
    expect(status.kind === 'converged' || (method === 'cobyla' && status.kind === 'limit')).toBe(true)
    expect(violation).toBeLessThanOrEqual(5e-6)
    expect(Math.abs(value - optimum)).toBeLessThanOrEqual(accuracies[method]! * (1 + Math.abs(optimum)))
    for (const rest of problem.equalities?.(point) ?? []) expect(Math.abs(rest)).toBeLessThanOrEqual(violation!)
    for (const rest of problem.inequalities?.(point) ?? []) expect(-rest).toBeLessThanOrEqual(violation!)
  })

  it('keeps no point that hurts the constraints, however low', () => {
    const constraints: Constraint[] = [{ kind: 'inequality', value: (x) => x[0]! - 2 }]
    const { point, value, violation } = minimize((x) => x[0]! ** 2, [5], { method, constraints })
    expect(point[0]).toBeCloseTo(2, 4)
    expect(value).toBeCloseTo(4, 3)
    expect(violation).toBeLessThan(1e-5)
  })

  it('says so where no point keeps the constraints', () => {
    const constraints: Constraint[] = [
      {
        kind: 'inequality',
        value: (x) => [x[0]! - 1, -x[0]! - 1],
        jacobian: () => [
          [1, 0],
          [-1, 0],
        ],
      },
    ]
    const { status, violation } = minimize((x) => dot(x, x), [3, 1], { method, constraints })
    if (method === 'cobyla') expect(status.kind).toBe('failed')
    else {
      expect(status.kind).toBe('infeasible')
      const certificate = status.kind === 'infeasible' ? status.certificate : undefined
      // Nonnegative weights whose sum of the constraints has no slope and is below zero.
      expect(certificate![0]).toBeGreaterThan(0)
      expect(Math.abs(certificate![0]! - certificate![1]!)).toBeLessThan(1e-3)
    }
    expect(violation).toBeGreaterThan(0.9)
  })

  it('comes back where constraints throw or are not defined', () => {
    let asked = 0
    const throwing: Constraint = {
      kind: 'equality',
      value: (x) => {
        if (++asked > 5) throw new Error('no more')
        return x[0]!
      },
    }
    const { status } = minimize((x) => dot(x, x), [3, 1], { method, constraints: [throwing] })
    expect(status).toEqual({ kind: 'failed', reason: 'no more' })
    const undefined_: Constraint = { kind: 'inequality', value: () => Number.NaN }
    const result = minimize((x) => dot(x, x), [3, 1], { method, constraints: [undefined_] })
    expect(['failed', 'limit', 'infeasible']).toContain(result.status.kind)
  })
})

describe('quadraticProgram', () => {
  /** min |x - (1, 2.5)|² of example 16.4 of Nocedal and Wright. */
  const example = {
    G: [Float64Array.of(2, 0), Float64Array.of(0, 2)],
    a: Float64Array.of(-2, -5),
    C: [
      [1, -2],
      [-1, -2],
      [-1, 2],
      [1, 0],
      [0, 1],
    ].map((row) => Float64Array.from(row)),
    b: [-2, -6, -2, 0, 0],
    equalities: 0,
  }

  it('solves the example of Nocedal and Wright', () => {
    const found = quadraticProgram(example)
    if (found.kind !== 'solved') throw new Error('not solved')
    expect(found.x[0]).toBeCloseTo(1.4, 12)
    expect(found.x[1]).toBeCloseTo(1.7, 12)
    expect(found.multipliers[0]).toBeCloseTo(0.8, 12)
  })

  it('keeps equalities, from whichever side, and those that say the same twice', () => {
    const C = [Float64Array.of(1, 1), Float64Array.of(2, 2), ...example.C]
    const found = quadraticProgram({ ...example, C, b: [1, 2, ...example.b], equalities: 2 })
    if (found.kind !== 'solved') throw new Error('not solved')
    expect(found.x[0]! + found.x[1]!).toBeCloseTo(1, 12)
    expect(found.x[0]).toBeCloseTo(0, 12)
  })

  it('proves that no point keeps the rows', () => {
    const C = [Float64Array.of(1, 1), Float64Array.of(-1, 0), Float64Array.of(0, -1)]
    const b = [3, -1, -1]
    const found = quadraticProgram({ ...example, C, b, equalities: 1 })
    if (found.kind !== 'infeasible') throw new Error('solved')
    const y = found.certificate
    for (const j of [0, 1]) expect(C.reduce((sum, row, i) => sum + y[i]! * row[j]!, 0)).toBeCloseTo(0, 12)
    expect(b.reduce((sum, one, i) => sum + y[i]! * one, 0)).toBeGreaterThan(0)
    expect(Math.min(y[1]!, y[2]!)).toBeGreaterThanOrEqual(0)
  })

  it('refuses a matrix that is not positive definite', () => {
    const G = [Float64Array.of(1, 0), Float64Array.of(0, -1)]
    expect(() => quadraticProgram({ ...example, G })).toThrow('G: the matrix must be positive definite')
  })
})
