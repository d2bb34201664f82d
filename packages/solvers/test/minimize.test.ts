import { describe, expect, it } from 'vitest'
import { minimize } from '../src/index.ts'
import { rosenbrock } from './support/problems.ts'

describe('minimize', () => {
  it('counts what BFGS needs, within 1.5 times what SciPy does', () => {
    const { value, evaluations, status } = minimize(rosenbrock, [-1.2, 1], { tolerances: { gradient: 1e-8 } })
    expect(status).toEqual({ kind: 'converged', test: 'gradient' })
    expect(value).toBeLessThan(1e-15)
    expect(evaluations.values).toBeLessThanOrEqual(1.5 * 41)
  })

  it('gives the best point where an objective throws', () => {
    let asked = 0
    const objective = (x: Float64Array) => {
      if (++asked === 5) throw new Error('no more')
      return rosenbrock.value(x)
    }
    const { point, value, status } = minimize(objective, [-1.2, 1])
    expect(status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(value).toBe(rosenbrock.value(point))
  })
})
