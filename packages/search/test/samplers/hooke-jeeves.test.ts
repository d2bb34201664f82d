import { describe, expect, test } from 'vitest'
import { choice, float, hookeJeeves, integer, openStudy, type Sampler, space } from '../../src/index.ts'
import { least, rosenbrock, run } from '../support/evolution-functions.ts'

const plane = space({ x: float(-2, 2), y: float(-2, 2) })

describe('Hooke and Jeeves', () => {
  test('explores by steps along the axes, moves on as far as all gains together, and halves the step where nothing gains', async () => {
    const study = await openStudy({ space: plane, sampler: hookeJeeves({ step: 0.1 }), seed: 1 })
    // Both slopes fall to the right, so that steps up gain in both dimensions.
    await study.optimize(({ parameters: { x, y } }) => -x - y, { trials: 4 })
    const [start, right, up, pattern] = (await study.trials()).map(({ point }) => point as readonly number[])
    expect(right).toEqual([expect.closeTo(start![0]! + 0.1, 12), start![1]])
    expect(up).toEqual([right![0], expect.closeTo(start![1]! + 0.1, 12)])
    expect(pattern).toEqual([expect.closeTo(start![0]! + 0.2, 12), expect.closeTo(start![1]! + 0.2, 12)])

    const flat = await openStudy({ space: plane, sampler: hookeJeeves({ step: 0.1 }), seed: 1 })
    await flat.optimize(() => 1, { trials: 9 })
    const [first, ...others] = (await flat.trials()).map(({ point }) => point as readonly number[])
    const steps = others.map((point) => Math.max(...point.map((value, axis) => Math.abs(value - first![axis]!))))
    for (const [index, step] of steps.entries()) expect(step).toBeCloseTo(index < 4 ? 0.1 : 0.05, 12)
  })

  test.each([1, 4])('follows the valley of Rosenbrock to its end, %d at a time', async (parallel) => {
    const trials = await run(hookeJeeves(), plane, ({ x, y }) => rosenbrock([x, y]), {
      trials: parallel > 1 ? 1600 : 700,
      parallel,
    })
    expect(least(trials)).toBeLessThan(1e-6)
  })

  test('tries every neighbour of integers and choices, and begins again elsewhere when none is better', async () => {
    const discrete = space({ n: integer(0, 9), kind: choice(['a', 'b', 'c']) })
    const loss = ({ n, kind }: { n: number; kind: string }) => Math.abs(n - 7) + (kind === 'b' ? 0 : 1)
    const trials = await run(hookeJeeves(), discrete, loss, { trials: 200, seed: 2 })
    expect(least(trials)).toBe(0)
    const tried = new Set(trials.map(({ parameters: { n, kind } }) => `${n} ${kind}`))
    expect([...tried]).toEqual(expect.arrayContaining(['6 b', '8 b', '7 a', '7 c']))
    // One descent alone, from where it begins here, passes no more than 12.
    expect(tried.size).toBeGreaterThan(20)
  })

  test('keeps off what breaks a constraint, and finds the best beside it', async () => {
    const bounded = space({ x: float(0, 1), y: float(0, 1) }, [{ name: 'x at least 0.3', allows: ({ x }) => x >= 0.3 }])
    const asked: boolean[] = []
    const { name, propose } = hookeJeeves() as Sampler
    const watching: Sampler = {
      name,
      async propose(view, request) {
        const proposal = await propose(view, request)
        if (proposal.kind === 'trial') asked.push(bounded.violated(proposal.point) === null)
        return proposal
      },
    }
    const trials = await run(watching, bounded, ({ x, y }) => 2 * x + y, { trials: 150 })
    expect(asked.every(Boolean)).toBe(true)
    expect(least(trials)).toBeCloseTo(0.6, 4)
  })
})
