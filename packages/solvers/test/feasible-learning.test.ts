import { describe, expect, it } from 'vitest'
import { feasibleLearning, type SampleLosses } from '../src/index.ts'

/** g_i(x) = (x - y_i)². */
const squares = (y: readonly number[]): SampleLosses => ({
  values: (x) => y.map((each) => (x[0]! - each) ** 2),
  weightedGradient: (x, weights) => [y.reduce((sum, each, i) => sum + weights[i]! * 2 * (x[0]! - each), 0)],
})

describe('feasibleLearning', () => {
  it('ends in the interval where every sample keeps its bound, far from the mean', () => {
    // Ten samples at 0 and one at 1: only [0.4, 0.6] keeps 0.36, and the mean loss is least at 1 / 11.
    const y = [...Array(10).fill(0), 1]
    const { point, values, status } = feasibleLearning(squares(y), [3], { threshold: 0.36 })
    expect(status).toEqual({ kind: 'converged', test: 'feasibility' })
    expect(point[0]).toBeGreaterThan(0.4 - 1e-5)
    expect(point[0]).toBeLessThan(0.6 + 1e-5)
    expect(Math.max(...values)).toBeLessThanOrEqual(0.36 + 1e-6)
  })

  it('relaxes bounds that are too tight by slacks of least norm', () => {
    // u = ((x + 1)², (x - 1)², (x - 1)²) for ε = 0: (1 + x)³ = 2 (1 - x)³.
    const root = Math.cbrt(2)
    const right = (root - 1) / (root + 1)
    for (const slackPrice of [1, 3]) {
      const result = feasibleLearning(squares([-1, 1, 1]), [0.7], {
        threshold: 0,
        slackPrice,
        dualStep: 0.3 / slackPrice,
      })
      expect(result.status).toEqual({ kind: 'converged', test: 'conditions' })
      expect(result.point[0]).toBeCloseTo(right, 5)
      result.values.forEach((value, i) => {
        expect(result.slacks[i]).toBeCloseTo(value, 5)
        expect(result.multipliers[i]).toBeCloseTo(slackPrice * value, 5)
      })
    }
    // With ε = 1 / 2 and a sample in the middle only the outer ones need slack, 1 / 2 each.
    const { point, slacks } = feasibleLearning(squares([-1, 0.1, 1]), [0.3], { threshold: 0.5, slackPrice: 1 })
    expect(point[0]).toBeCloseTo(0, 5)
    ;[0.5, 0, 0.5].forEach((slack, i) => {
      expect(slacks[i]).toBeCloseTo(slack, 5)
    })
  })

  it('has no slack where the bounds can be kept', () => {
    const { slacks, values, status } = feasibleLearning(squares([0, 1]), [0.5], { threshold: 0.36, slackPrice: 1 })
    expect([...slacks]).toEqual([0, 0])
    expect([...values]).toEqual([0.25, 0.25])
    expect(status.kind).toBe('converged')
  })

  it('ends at a limit, with multipliers that grow, where nothing keeps the bounds', () => {
    const run = (iterations: number) => {
      let largest = 0
      const { status } = feasibleLearning(squares([-1, 1]), [0.2], {
        iterations,
        step: 1e-3,
        callback: ({ multipliers }) => {
          largest = Math.max(...multipliers)
        },
      })
      expect(status).toEqual({ kind: 'limit', of: 'iterations' })
      return largest
    }
    expect(run(400)).toBeGreaterThan(1.5 * run(200))
  })

  it('keeps the best point where losses throw or are not numbers, and says what is wrong', () => {
    const broken: SampleLosses = { values: () => [Number.NaN], weightedGradient: () => [0] }
    expect(feasibleLearning(broken, [1]).status.kind).toBe('failed')
    const thrower: SampleLosses = {
      values: () => {
        throw new Error('no data')
      },
      weightedGradient: () => [0],
    }
    const { point, status } = feasibleLearning(thrower, [1])
    expect([[...point], status]).toEqual([[1], { kind: 'failed', reason: 'no data' }])
    expect(feasibleLearning(squares([]), [1]).status.kind).toBe('converged')
    expect(() => feasibleLearning(squares([0]), [Infinity])).toThrow('start[0]: Infinity')
    expect(() => feasibleLearning(squares([0]), [0], { slackPrice: 0 })).toThrow('slackPrice: 0')
    expect(() => feasibleLearning(squares([0]), [0], { threshold: Number.NaN })).toThrow('threshold: NaN')
  })
})
