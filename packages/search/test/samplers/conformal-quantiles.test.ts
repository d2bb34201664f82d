import { describe, expect, test } from 'vitest'
import { conformalQuantiles, float, space } from '../../src/index.ts'
import { random } from '../../src/random.ts'
import { boostQuantile, conformalize, quantileOf } from '../../src/samplers/parts/quantile-trees.ts'
import { oddViews, points, proposed, seen, viewOf } from '../support/proposals.ts'

const square = space({ x: float(0, 1), y: float(0, 1) })

/** Rows of two features, and targets whose noise grows with the first. */
function noisy(count: number, seed: number) {
  const numbers = random(seed, 'noisy')
  const rows = Array.from({ length: count }, () => [numbers.uniform(), numbers.uniform()])
  return { rows, targets: rows.map(([x, y]) => 3 * y! + (0.1 + 2 * x!) * numbers.normal()) }
}

describe('boosted quantiles', () => {
  test('without a tree are those of the targets', () => {
    const { rows, targets } = noisy(101, 1)
    for (const level of [0.1, 0.5, 0.9]) {
      expect(boostQuantile(rows, targets, level, { rounds: 0 })([0.5, 0.5])).toBe(quantileOf(targets, level))
    }
    expect([0, 0.5, 0.51, 1].map((level) => quantileOf([4, 1, 3, 2], level))).toEqual([1, 2, 3, 4])
  })

  test('follow a noise that depends on the features', () => {
    const { rows, targets } = noisy(1500, 2)
    const [low, high] = [0.1, 0.9].map((level) => boostQuantile(rows, targets, level, { leastLeaf: 20 }))
    for (const x of [0.1, 0.5, 0.9]) {
      // The normal distribution has its quantiles of 10 % and 90 % 2.563 deviations apart.
      const spans = [0.2, 0.4, 0.6, 0.8].map((y) => high!([x, y]) - low!([x, y]))
      const mean = spans.reduce((sum, span) => sum + span, 0) / spans.length
      expect(mean / (2.563 * (0.1 + 2 * x))).toBeGreaterThan(0.7)
      expect(mean / (2.563 * (0.1 + 2 * x))).toBeLessThan(1.5)
    }
  })

  test('cover what they say after correction, and less before', () => {
    const [lows, repeats, calibrating] = [[0.1, 0.3], 60, 39]
    const covered = [0, 0]
    let raw = 0
    for (let repeat = 0; repeat < repeats; repeat++) {
      const fit = noisy(60, 10 + repeat)
      const quantilesAt = conformalize(fit, noisy(calibrating, 1000 + repeat), lows, { rounds: 20 })
      const [low, high] = [0.1, 0.9].map((level) => boostQuantile(fit.rows, fit.targets, level, { rounds: 20 }))
      const fresh = noisy(100, 2000 + repeat)
      for (const [index, row] of fresh.rows.entries()) {
        const quantiles = quantilesAt(row)
        const target = fresh.targets[index]!
        for (const pair of [0, 1]) {
          if (target >= quantiles[pair]! && target <= quantiles[3 - pair]!) covered[pair]! += 1 / (100 * repeats)
        }
        if (target >= low!(row) && target <= high!(row)) raw += 1 / (100 * repeats)
      }
    }
    // The coverage of one repeat has a deviation of sqrt(a (1 - a) / 41), of which the mean over repeats has a 1 / sqrt(60)th.
    for (const [pair, low] of lows.entries()) {
      const wanted = 1 - 2 * low
      expect(covered[pair]).toBeGreaterThan(wanted - 0.03)
      expect(covered[pair]).toBeLessThan(wanted + 1 / (calibrating + 1) + 0.03)
    }
    expect(raw).toBeLessThan(0.8 - 0.05)
  })

  test('are infinite where calibration has too few targets', () => {
    const quantilesAt = conformalize(noisy(30, 1), noisy(3, 2), [0.1, 0.4], { rounds: 2 })
    const quantiles = quantilesAt([0.5, 0.5])
    expect([quantiles[0], quantiles[3]]).toEqual([-Infinity, Infinity])
    expect(Number.isFinite(quantiles[1]) && Number.isFinite(quantiles[2])).toBe(true)
  })
})

describe('conformalQuantiles', () => {
  const seeds = Array.from({ length: 30 }, (_, index) => index + 1)

  test('proposes good and feasible points more often than chance', async () => {
    const trials = points(square, 80).map((point, index) =>
      seen(index, point, { losses: [point[1]!], violations: [point[0]! - 0.5] }),
    )
    const chosen = await Promise.all(seeds.map((seed) => proposed(conformalQuantiles(), viewOf(square, trials), seed)))
    // A quarter of all points are such.
    expect(chosen.filter(([x, y]) => x! < 0.5 && y! < 0.5).length).toBeGreaterThan(20)
  })

  test.each(Object.entries(oddViews()))('bears %s and says the same twice', async (_, view) => {
    const point = await proposed(conformalQuantiles(), view)
    expect(view.space.point(view.space.parameters(point))).toHaveLength(point.length)
    expect(await proposed(conformalQuantiles(), view)).toEqual(point)
  })

  test('names what is wrong', () => {
    expect(() => conformalQuantiles({ startup: 3 })).toThrow(/startup must be a whole number from 8, not 3/)
  })
})
