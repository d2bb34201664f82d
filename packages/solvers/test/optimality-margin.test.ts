import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { linearProgram, type ObservedDecision, optimalityMargin, optimalityMarginStates } from '../src/index.ts'

interface Decided extends ObservedDecision {
  readonly context: number[]
  readonly equalBounds: number[]
  readonly optimum: Float64Array
}

/** Programs of 6 variables and 2 rows whose costs are a linear function of a context, with what is optimal for them. */
async function observe(count: number, draws: Draws, truth: readonly number[][]): Promise<Decided[]> {
  const decided: Decided[] = []
  while (decided.length < count) {
    const context = [1, draws.uniform(), draws.uniform()]
    const equalMatrix = [0, 1].map(() => Array.from({ length: 6 }, () => 0.2 + draws.uniform()))
    const equalBounds = [2 + draws.uniform(), 2 + draws.uniform()]
    const costs = truth.map((row) => row.reduce((sum, each, f) => sum + each * context[f]!, 0))
    const { point, status } = await linearProgram({ costs, equalMatrix, equalBounds })
    if (status.kind === 'converged' && point.filter((x) => x > 1e-9).length === 2) {
      decided.push({ context, equalMatrix, equalBounds, optimum: point })
    }
  }
  return decided
}

const same = (a: Float64Array, b: Float64Array) => a.every((x, j) => Math.abs(x - b[j]!) < 1e-6)

describe('optimalityMargin', () => {
  const draws = new Draws(1)
  const truth = Array.from({ length: 6 }, () => [1 + draws.uniform(), 2 * draws.uniform(), 2 * draws.uniform()])

  it('recovers what was decided wherever the slack is below 1, and most decisions that it has not seen', async () => {
    const training = await observe(30, draws, truth)
    const learnt = optimalityMargin(training, { regularization: 1e-2, tolerance: 1e-2 })
    expect(learnt.status).toEqual({ kind: 'converged', test: 'gap' })
    const decide = async ({ context, equalMatrix, equalBounds }: Decided) =>
      (await linearProgram({ costs: learnt.predict(context), equalMatrix, equalBounds })).point
    let certain = 0
    for (const [t, decision] of training.entries()) {
      if (learnt.slacks[t]! >= 1 - 1e-9) continue
      certain++
      expect(same(await decide(decision), decision.optimum)).toBe(true)
    }
    expect(certain).toBeGreaterThanOrEqual(29)
    let right = 0
    for (const decision of await observe(20, draws, truth)) if (same(await decide(decision), decision.optimum)) right++
    expect(right).toBeGreaterThanOrEqual(19)
  })

  it('solves an inverse program without a context', async () => {
    const equalMatrix = [
      [1, 1, 1, 0],
      [0, 2, 1, 1],
    ]
    const optimum = [0, 1, 2, 0]
    const { predict, slacks, value } = optimalityMargin([{ equalMatrix, optimum }], { regularization: 1e-2 })
    expect(slacks[0]).toBeLessThan(1e-6)
    const { point } = await linearProgram({ costs: predict(), equalMatrix, equalBounds: [3, 4] })
    expect(same(point, Float64Array.from(optimum))).toBe(true)
    // Reduced costs c₁ + c₂ - 2 c₃ and c₃ + c₄ - c₂ have to be 1: the least norm has |c|² = (6 + 3 + 2 * 3) / (6 * 3 - 3²) = 5 / 3.
    expect(value).toBeCloseTo((0.01 / 2) * (5 / 3), 6)
  })

  it('has a residual that bounds how far the value is from its minimum', () => {
    const decisions = [0, 0.4, 0.6, 1].map((x) => ({
      context: [1, x],
      equalMatrix: [[1, 2, 1]],
      optimum: x < 0.5 ? [0, 1, 0] : [1, 0, 0],
    }))
    const { value: least } = optimalityMargin(decisions, { tolerance: 1e-9 })
    let count = 0
    for (const { value, residual } of optimalityMarginStates(decisions)) {
      expect(value).toBeGreaterThanOrEqual(least - 1e-8)
      expect(value - residual).toBeLessThanOrEqual(least + 1e-8)
      count++
    }
    expect(count).toBeGreaterThan(2)
  })

  it('gives up decisions that contradict one another', () => {
    const equalMatrix = [[1, 1]]
    const { weights, slacks, value } = optimalityMargin([
      { equalMatrix, optimum: [1, 0] },
      { equalMatrix, optimum: [0, 1] },
    ])
    // For the difference r of the costs the mean of (1 - r)₊ and (1 + r)₊ is 1 at best.
    expect(value).toBeCloseTo(1, 5)
    expect(Math.max(...slacks)).toBeGreaterThanOrEqual(1 - 1e-6)
    expect(weights).toHaveLength(2)
  })

  it('takes a basis where the vertex is degenerate, and says what is wrong', () => {
    const degenerate = {
      equalMatrix: [
        [1, 1, 0],
        [0, 0, 1],
      ],
      optimum: [1, 0, 0],
    }
    expect(() => optimalityMargin([degenerate])).toThrow('a basis of 2 variables is needed, not of 1')
    expect(optimalityMargin([{ ...degenerate, basis: [0, 2] }]).status.kind).toBe('converged')
    expect(() => optimalityMargin([{ ...degenerate, basis: [0, 1] }])).toThrow('dependent')
    expect(() => optimalityMargin([])).toThrow('decisions: there are none')
    expect(() => optimalityMargin([{ ...degenerate, basis: [0, 2] }], { regularization: 0 })).toThrow(
      'regularization: 0',
    )
    expect(() => optimalityMargin([{ equalMatrix: [[1]], optimum: [1, 0] }])).toThrow('equalMatrix[0]: 1 numbers')
  })
})
