import { describe, expect, test } from 'vitest'
import { configSearch, float, openStudy, random, space } from '../../src/index.ts'
import { everything } from '../support/everything.ts'
import { points, proposed, seen, viewOf } from '../support/proposals.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })
type Place = { x: number; y: number }

/** Constraints that can be met, some only in a small part of the square, with how far their values reach. */
const feasible: Record<string, { reach: number; at: (place: Place) => Record<string, number> }> = {
  'a disk of 3 % of the square': { reach: 1, at: ({ x, y }) => ({ disk: (x - 0.7) ** 2 + (y - 0.3) ** 2 - 0.01 }) },
  'a corner between two bounds': { reach: 1, at: ({ x, y }) => ({ right: 0.85 - x, low: y - 0.15 }) },
  'waves with narrow troughs': { reach: 2, at: ({ x, y }) => ({ wave: 0.9 + Math.sin(9 * x + 2) * Math.cos(7 * y) }) },
  'values of a million': { reach: 2e6, at: ({ x, y }) => ({ line: 1e6 * (Math.abs(x - 2 * y) - 0.05) }) },
}

/** Constraints of which none, or no two at once, can be met. */
const infeasible: Record<string, (place: Place) => Record<string, number>> = {
  'a bowl above 0': ({ x, y }) => ({ bowl: (x - 0.6) ** 2 + (y - 0.4) ** 2 + 0.1 }),
  'two bounds that exclude each other': ({ x }) => ({ left: x - 0.3, right: 0.7 - x }),
  'a constant': () => ({ never: 1 }),
}

async function run(constraints: (place: Place) => Record<string, number>, seed: number, trials: number) {
  const study = await openStudy({ space: square, sampler: configSearch(), seed })
  const { reason } = await study.optimize(
    ({ parameters }) => ({ values: parameters.x - parameters.y, constraints: constraints(parameters) }),
    { trials },
  )
  const violations = (await study.trials()).map((trial) => Math.max(...Object.values(trial.constraints)))
  return { reason, best: await study.best(), tried: violations.length, nearest: Math.min(...violations) }
}

const seeds = everything ? [1, 2, 3] : [1]

describe('CONFIG', () => {
  test.each(Object.entries(feasible))(
    'never says that nothing is feasible, and violates little: %s',
    async (_, { reach, at }) => {
      for (const seed of seeds) {
        const { reason, nearest } = await run(at, seed, 25)
        expect(reason).toBe('25 trials have a result')
        expect(nearest / reach).toBeLessThan(0.01)
      }
    },
  )

  test.each(Object.entries(infeasible))('declares infeasible what is: %s', async (_, constraints) => {
    for (const seed of seeds) {
      const { reason, best, tried } = await run(constraints, seed, 80)
      expect(reason).toMatch(/^config: infeasible: /)
      expect(best).toBeNull()
      expect(tried).toBeLessThan(80)
    }
  })

  test('proposes the smallest lower bound of the loss among what may be feasible', async () => {
    const trials = points(square, 40).map((point, index) =>
      seen(index, point, { losses: [point[0]!], violations: [0.5 - point[0]!] }),
    )
    const [x] = await proposed(configSearch(), viewOf(square, trials))
    expect(x).toBeGreaterThan(0.4)
    expect(x).toBeLessThan(0.505)
  })

  test('waits for trials that are under way before it declares anything', async () => {
    const trials = points(square, 40).map((point, index) => seen(index, point, { losses: [0], violations: [1] }))
    const answers = async (open: number) => {
      const [ended, running] = [
        trials.slice(open),
        trials.slice(0, open).map((trial) => ({ ...trial, state: 'running' as const })),
      ]
      return configSearch().propose(viewOf(square, ended, running), {
        number: 40,
        random: random(1, 'answer'),
        state: null,
      })
    }
    expect(await answers(1)).toMatchObject({ kind: 'wait' })
    expect(await answers(0)).toMatchObject({ kind: 'end' })
  })

  test('refuses a confidence of 0', () => {
    expect(() => configSearch({ confidence: 0 })).toThrow('config: confidence must be a number above 0, not 0')
  })
})
