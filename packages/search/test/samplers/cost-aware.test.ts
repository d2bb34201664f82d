import { describe, expect, test } from 'vitest'
import { costAware, float, gaussianProcess, openStudy, type Sampler, space } from '../../src/index.ts'
import { everything } from '../support/everything.ts'
import { points, proposed, seen, viewOf } from '../support/proposals.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })

/** Two valleys of the same depth, of which the right one costs a hundred times as much. */
const valleys = (x: number, y: number) => Math.min((x - 0.15) ** 2, (x - 0.85) ** 2) + (y - 0.4) ** 2
const seconds = (x: number) => 10 ** (3 * x)

/** Simulated seconds until a value is reached. */
async function secondsTo(sampler: Sampler, value: number, seed: number): Promise<number> {
  const study = await openStudy({ space: square, sampler, seed })
  let spent = 0
  let reached = false
  await study.optimize(
    ({ parameters: { x, y } }) => {
      if (!reached) spent += seconds(x)
      reached ||= valleys(x, y) <= value
      return { values: valleys(x, y), cost: seconds(x) }
    },
    { trials: 40, stop: [{ name: 'reached', reached: () => (reached ? 'reached' : null) }] },
  )
  return reached ? spent : Infinity
}

describe('costAware', () => {
  const trialsOf = (loss: (x: number) => number, cost: (x: number) => number | null) =>
    points(square, 20).map((point, index) => seen(index, point, { losses: [loss(point[0]!)], cost: cost(point[0]!) }))
  const firsts = async (sampler: Sampler, trials: ReturnType<typeof trialsOf>) => {
    const drawn = []
    for (let seed = 1; seed <= 5; seed++) drawn.push((await proposed(sampler, viewOf(square, trials), seed))[0]!)
    return drawn
  }

  test('prefers what is cheap where all values are equal', async () => {
    const drawn = await firsts(
      costAware(),
      trialsOf(() => 1, seconds),
    )
    expect(Math.max(...drawn)).toBeLessThan(0.2)
  })

  test('is gaussianProcess where no trial says what it cost, and where all cost the same', async () => {
    for (const cost of [null, 7]) {
      const view = viewOf(
        square,
        trialsOf(
          (x) => (x - 0.6) ** 2,
          () => cost,
        ),
      )
      const [mine, plain] = [await proposed(costAware(), view), await proposed(gaussianProcess(), view)]
      for (const [index, coordinate] of mine.entries()) expect(coordinate).toBeCloseTo(plain[index]!, 2)
    }
  })

  test('looks where value and price of the cost are balanced', async () => {
    // (x - 1)^2 + 0.25 log10(10^(3 x)) is smallest at x = 1 - 0.75 / 2.
    const trials = trialsOf((x) => (x - 1) ** 2, seconds)
    const [first] = await firsts(costAware({ price: 0.25 }), trials)
    expect(first).toBeGreaterThan(0.45)
    expect(first).toBeLessThan(0.7)
    expect(() => costAware({ price: -1 })).toThrow('costAware: price must be a number from 0, not -1')
  })

  test('reaches the same quality in less time than a search that does not look at it', async () => {
    const seeds = everything ? [1, 2, 3, 4, 5, 6, 7] : [1, 2, 3]
    const median = async (make: () => Sampler) => {
      const all = []
      for (const seed of seeds) all.push(await secondsTo(make(), 0.002, seed))
      return all.sort((a, b) => a - b)[seeds.length >> 1]!
    }
    const [mine, plain] = [
      await median(() => costAware({ startup: 4 })),
      await median(() => gaussianProcess({ startup: 4 })),
    ]
    expect(2 * mine).toBeLessThan(plain)
  })
})
