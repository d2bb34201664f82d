import { expect, test } from 'vitest'
import { choice, float, nelderMead, space } from '../../src/index.ts'
import { least, median, rosenbrock, run, sphere } from '../support/evolution-functions.ts'

const box = space({ x: float(-2, 3), y: float(-2, 3) })

test('mirrors the worst corner first: x_r = 2 c - x_worst', async () => {
  const trials = await run(nelderMead(), box, ({ x, y }) => sphere([x, y]), { trials: 4 })
  const sorted = [...trials.slice(0, 3)].sort((a, b) => a.values![0]! - b.values![0]!)
  const [best, second, worst] = sorted.map(({ point }) => point as readonly number[])
  for (const axis of [0, 1]) {
    const mirrored = best![axis]! + second![axis]! - worst![axis]!
    expect(trials[3]!.point[axis]).toBeCloseTo(mirrored < 0 ? -mirrored : mirrored > 1 ? 2 - mirrored : mirrored, 12)
  }
})

test('converges on Rosenbrock, one after the other and side by side, where a turn waits for the one before', async () => {
  for (const parallel of [1, 6]) {
    const results = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) =>
        run(nelderMead(), box, ({ x, y }) => rosenbrock([x, y]), {
          trials: 250 * Math.min(2, parallel),
          seed,
          parallel,
        }),
      ),
    )
    expect(median(results.map(least))).toBeLessThan(parallel === 1 ? 1e-6 : 1e-2)
  }
})

test('finds numbers beside a choice', async () => {
  const mixed = space({ x: float(-2, 3), kind: choice(['a', 'b', 'c']) })
  const trials = await run(nelderMead(), mixed, ({ x, kind }) => x * x + (kind === 'b' ? 0 : 1), { trials: 250 })
  expect(least(trials)).toBeLessThan(1e-2)
})
