import { describe, expect, test } from 'vitest'
import { float, multiFidelity, openStudy, space, type TrialRecord } from '../../src/index.ts'
import { everything } from '../support/everything.ts'
import { median } from '../support/evolution-functions.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })
const resource = { name: 'epoch', minimum: 1, maximum: 27 }
const bowl = (x: number, y: number) => (x - 0.7) ** 2 + (y - 0.3) ** 2

/** Runs a study whose value after some epochs is given; says what it has used and found. */
async function run(value: (x: number, y: number, epochs: number) => number, budget: number, seed: number) {
  const study = await openStudy({ space: square, sampler: multiFidelity({ startup: 6 }), resource, seed })
  let continued = 0
  await study.optimize(
    async ({ parameters: { x, y }, until, from, report }) => {
      if (from > 0) continued++
      await report(until ?? 27, value(x, y, until ?? 27))
      return value(x, y, until ?? 27)
    },
    { resource: budget },
  )
  const trials = await study.trials()
  const ends = trials.filter(({ state }) => state === 'complete')
  const best = Math.min(...ends.map(({ values }) => values![0]!))
  return { trials, ends, best, continued }
}

const usedShort = (trials: readonly TrialRecord[]) =>
  trials.filter(({ until }) => until !== null && until < 27).length / trials.length

describe('multiFidelity', () => {
  const seeds = everything ? [1, 2, 3, 4, 5] : [1, 2, 3]

  test('learns from short trials where they tell what long ones are like, and goes on with some', async () => {
    // Ten trials to the end cost as much.
    const runs = await Promise.all(seeds.map((seed) => run((x, y, epochs) => bowl(x, y) + 0.3 / epochs, 270, seed)))
    for (const { trials, ends, continued } of runs) {
      expect(trials.length).toBeGreaterThan(14)
      expect(ends.length).toBeLessThan(10)
      expect(usedShort(trials)).toBeGreaterThan(0.3)
      expect(continued).toBeGreaterThan(0)
    }
    expect(median(runs.map(({ best }) => best)) - 0.3 / 27).toBeLessThan(0.01)
  })

  test('finds what is best in the end where short trials mislead', async () => {
    const misleading = (x: number, y: number, epochs: number) => {
      const share = Math.log(epochs) / Math.log(27)
      return share * bowl(x, y) + (1 - share) * bowl(1 - x, 1 - y)
    }
    const runs = await Promise.all((everything ? seeds : [1]).map((seed) => run(misleading, 400, seed)))
    expect(median(runs.map(({ best }) => best))).toBeLessThan(0.02)
  })

  test('says what its options may be', () => {
    expect(() => multiFidelity({ eta: 1 })).toThrow('multiFidelity: eta must be a whole number from 2, not 1')
  })
})
