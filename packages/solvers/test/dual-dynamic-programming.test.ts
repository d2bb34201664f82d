import { describe, expect, it } from 'vitest'
import {
  type DualDynamicOptions,
  type DualDynamicState,
  linearProgram,
  type Stage,
  stochasticDualDynamicProgramming,
} from '../src/index.ts'

/**
 * A reservoir of at most 10 before a turbine of at most 6; what it does not give, two power stations burn, of at most 4 at a price of 1, and of any
 * size at a price of 5. u = (water kept, turbined, spilt, burnt cheaply, burnt dearly).
 */
function hydro(demands: number[], inflows: number[]): Stage[] {
  return demands.map((demand, t) => ({
    costs: [0, 0, 0, 1, 5],
    equalMatrix: [
      [1, 1, 1, 0, 0],
      [0, 1, 0, 1, 1],
    ],
    equalState: [[-1], [0]],
    equalBounds: [inflows[1]!, demand],
    bounds: [
      [0, 10],
      [0, 6],
      [0, null],
      [0, 4],
      [0, null],
    ],
    next: [0],
    ...(t === 0
      ? {}
      : {
          outcomes: inflows.map((inflow) => ({ probability: 1 / inflows.length, equalBounds: [inflow, demand] })),
        }),
  }))
}

/** The optimum by one program over the whole tree of what may come. */
async function extensive(stages: readonly Stage[], start: number): Promise<number> {
  const [costs, bounds, rows, right]: [
    number[],
    (readonly [number | null, number | null])[],
    Map<number, number>[],
    number[],
  ] = [[], [], [], []]
  const grow = (t: number, parent: number | undefined, weight: number) => {
    const stage = stages[t]!
    for (const outcome of stage.outcomes ?? [{ probability: 1, equalBounds: stage.equalBounds! }]) {
      const first = costs.length
      costs.push(...[...stage.costs].map((cost) => weight * outcome.probability * cost))
      bounds.push(...stage.bounds!)
      stage.equalMatrix!.forEach((row, i) => {
        const known = stage.equalState![i]![0]!
        const entries = new Map([...row].map((each, j) => [first + j, each]))
        if (parent !== undefined) entries.set(parent, known)
        rows.push(entries)
        right.push(outcome.equalBounds![i]! - (parent === undefined ? known * start : 0))
      })
      if (t + 1 < stages.length) grow(t + 1, first, weight * outcome.probability)
    }
  }
  grow(0, undefined, 1)
  const equalMatrix = rows.map((row) => costs.map((_, j) => row.get(j) ?? 0))
  return (await linearProgram({ costs, bounds, equalMatrix, equalBounds: right })).value
}

describe('stochasticDualDynamicProgramming', () => {
  const stages = hydro([7, 9, 12], [0, 3, 7])

  it('has bounds that meet at the optimum of the extensive form', async () => {
    const optimum = await extensive(stages, 5)
    const lowers: number[] = []
    const callback = ({ lower }: DualDynamicState) => {
      lowers.push(lower)
    }
    const result = await stochasticDualDynamicProgramming(stages, [5], { callback })
    expect(result.status).toEqual({ kind: 'converged', test: 'gap' })
    expect(result.lower).toBeCloseTo(optimum, 5)
    expect(result.upper).toBeCloseTo(optimum, 5)
    expect(lowers.length).toBeGreaterThan(1)
    lowers.forEach((lower, k) => {
      expect(lower).toBeLessThanOrEqual(optimum + 1e-6)
      if (k > 0) expect(lower).toBeGreaterThanOrEqual(lowers[k - 1]! - 1e-6)
    })
    expect(lowers[0]).toBeLessThan(optimum - 0.1)
    const [kept, turbined, spilt] = await result.decide(0, 0, [5])
    expect(kept! + turbined! + spilt!).toBeCloseTo(5 + 3, 6)
  })

  it('ends by confidence where scenarios are too many to take all', async () => {
    const optimum = await extensive(stages, 5)
    const result = await stochasticDualDynamicProgramming(stages, [5], { scenarios: 8, seed: 1 })
    expect(result.status.kind).toBe('converged')
    expect(result.error).toBeGreaterThan(0)
    expect(result.lower).toBeLessThanOrEqual(optimum + 1e-6)
    expect(Math.abs(result.upper - optimum)).toBeLessThan(4 * result.error)
  })

  it('is a linear program where there is one stage', async () => {
    const { lower, upper, iterations } = await stochasticDualDynamicProgramming(hydro([12], [0, 3, 7]), [0])
    expect([lower, upper, iterations]).toEqual([4 + 5 * 5, 4 + 5 * 5, 1])
  })

  it('wants to know how low costs may be where there are profits', async () => {
    const paid = stages.map((stage) => ({ ...stage, costs: [0, -4, 0, 1, 5] }))
    const optimum = await extensive(paid, 5)
    expect(optimum).toBeLessThan(0)
    const { status } = await stochasticDualDynamicProgramming(paid, [5])
    expect(status).toEqual({ kind: 'failed', reason: 'least: later stages cost less than 0' })
    expect((await stochasticDualDynamicProgramming(paid, [5], { least: -100 })).lower).toBeCloseTo(optimum, 5)
  })

  it('stops at limits', async () => {
    const run = async (options: DualDynamicOptions) =>
      (await stochasticDualDynamicProgramming(stages, [5], options)).status
    expect(await run({ iterations: 1 })).toEqual({ kind: 'limit', of: 'iterations' })
    expect(await run({ seconds: 0 })).toEqual({ kind: 'limit', of: 'seconds' })
    expect(await run({ signal: AbortSignal.abort() })).toEqual({ kind: 'limit', of: 'signal' })
    expect(await run({ callback: () => false })).toEqual({ kind: 'limit', of: 'callback' })
  })

  it('is infeasible where the first stage is, fails where a later one is, and says what is wrong', async () => {
    const dry = { ...stages[0]!, bounds: [[10, 10] as const, ...stages[0]!.bounds!.slice(1)] }
    expect((await stochasticDualDynamicProgramming([dry], [0])).status.kind).toBe('infeasible')
    const { status } = await stochasticDualDynamicProgramming([stages[0]!, dry], [0])
    expect(status.kind === 'failed' && status.reason).toContain('stage 1: its program is infeasible')
    await expect(stochasticDualDynamicProgramming([], [])).rejects.toThrow('stages: there are none')
    await expect(stochasticDualDynamicProgramming(stages, [1, 2])).rejects.toThrow('1 numbers for a state of 2')
    const unsure = { ...stages[0]!, outcomes: [{ probability: 0.5 }] }
    await expect(stochasticDualDynamicProgramming([unsure], [1])).rejects.toThrow('add up to 1, not 0.5')
  })
})
