import { describe, expect, test } from 'vitest'
import { choice, differentialEvolution, float, type Sampler, space } from '../../src/index.ts'
import { least, median, rosenbrock, run } from '../support/evolution-functions.ts'

const box = space({ x: float(-2, 2), y: float(-2, 2) })

describe('differential evolution', () => {
  test('solves Rosenbrock by both strategies', async () => {
    for (const strategy of ['rand/1/bin', 'current-to-best/1/bin'] as const) {
      const results = await Promise.all(
        [1, 2, 3].map((seed) =>
          run(differentialEvolution({ strategy, population: 20 }), box, ({ x, y }) => rosenbrock([x, y]), {
            trials: 800,
            seed,
          }),
        ),
      )
      expect(median(results.map(least))).toBeLessThan(1e-3)
    }
  })

  test('replaces a target only by what is not worse, so that the population never loses', async () => {
    const sampler = differentialEvolution({ population: 5 })
    const populations: (readonly number[])[] = []
    const watching = {
      ...sampler,
      propose(view, request) {
        const proposal = sampler.propose(view, request as never) as { state?: { population: readonly number[] } }
        if (proposal.state) populations.push(proposal.state.population)
        return proposal as never
      },
    } satisfies Sampler
    const trials = await run(watching, box, ({ x, y }) => rosenbrock([x, y]), { trials: 120, parallel: 6 })
    const losses = (population: readonly number[]) => population.map((number) => trials[number]!.values![0]!)
    let before = [Infinity, Infinity, Infinity, Infinity, Infinity]
    for (const population of populations) {
      const now = losses(population)
      for (const [slot, loss] of now.entries()) expect(loss).toBeLessThanOrEqual(before[slot]!)
      before = [...now, ...before.slice(now.length)]
    }
    const target = trials.find(({ note }) => (note as { target: number | null }).target !== null)!
    expect(target.number).toBeGreaterThanOrEqual(5)
  })

  test('keeps a choice that its parents agree on, and says what its options may be', async () => {
    const mixed = space({ x: float(0, 1), kind: choice(['a', 'b', 'c']) })
    const trials = await run(differentialEvolution(), mixed, ({ x, kind }) => x + (kind === 'b' ? 0 : 1), {
      trials: 200,
    })
    const late = trials.slice(150).filter(({ parameters }) => parameters.kind === 'b')
    expect(late.length).toBeGreaterThan(45)
    expect(() => differentialEvolution({ population: 3 })).toThrow('population must be a whole number from 4, not 3')
    expect(() => differentialEvolution({ crossover: 1.5 })).toThrow('crossover must be above 0 and at most 1, not 1.5')
  })
})
