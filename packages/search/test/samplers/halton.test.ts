import { expect, test } from 'vitest'
import { float, haltonSearch, openStudy, space } from '../../src/index.ts'
import { pointsOf } from '../support/propose.ts'
import { viewOf } from '../support/view.ts'

const cube = space({ x: float(0, 1), y: float(0, 1), z: float(0, 1) })

test('puts one of the first b^k points into each of b^k parts, for the primes 2, 3 and 5', async () => {
  const points = await pointsOf(haltonSearch(), viewOf(cube, [], { seed: 4 }), 125)
  for (const [dimension, base] of [2, 3, 5].entries()) {
    for (let parts = base; parts <= 125; parts *= base) {
      const cells = points.slice(0, parts).map((point) => Math.floor(point[dimension]! * parts))
      expect(new Set(cells).size, `base ${base}, ${parts} parts`).toBe(parts)
    }
  }
  const pairs = points.slice(0, 6).map(([x, y]) => Math.floor(x! * 2) * 3 + Math.floor(y! * 3))
  expect(new Set(pairs).size).toBe(6)
})

test('is spread evenly over seeds: each coordinate of the first point has the mean 1/2 and the variance 1/12', async () => {
  const firsts: number[] = []
  for (let seed = 0; seed < 400; seed++) {
    firsts.push((await pointsOf(haltonSearch(), viewOf(cube, [], { seed }), 1))[0]![2]!)
  }
  const mean = firsts.reduce((sum, value) => sum + value, 0) / 400
  const variance = firsts.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 399
  expect(Math.abs(mean - 0.5)).toBeLessThan(3 * Math.sqrt(1 / 12 / 400))
  expect(variance).toBeGreaterThan(0.07)
  expect(variance).toBeLessThan(0.097)
})

test('serves 40 dimensions, and a study with enqueued trials and 4 workers', async () => {
  const wide = space(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`h${index}`, float(0, 1)])))
  const [point] = await pointsOf(haltonSearch(), viewOf(wide, []), 1)
  expect(new Set(point).size).toBe(40)
  const study = await openStudy({ space: cube, sampler: haltonSearch() })
  await study.enqueue({ x: 0, y: 0, z: 0 })
  await study.optimize(() => 1, { trials: 9, parallel: 4 })
  const tried = (await study.trials()).slice(1).map((trial) => trial.point)
  expect(tried).toEqual(await pointsOf(haltonSearch(), viewOf(cube, []), 8))
})
