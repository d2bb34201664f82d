import { expect, test } from 'vitest'
import { float, novelty, space } from '../../src/index.ts'
import { noveltyOf } from '../../src/samplers/novelty.ts'
import { run } from '../support/evolution-functions.ts'

const box = space({ x: float(0, 1), y: float(0, 1) })

test('novelty is the mean root mean square distance to the nearest', () => {
  const self = [0, 0]
  expect(noveltyOf(self, [self, [1, 1], [0.2, 0.2], [0.4, 0.4]], 2)).toBeCloseTo(0.3, 12)
  expect(noveltyOf(self, [self], 3)).toBe(Infinity)
})

test('explores where all losses are equal: every part of the box is visited', async () => {
  const trials = await run(novelty({ reward: 0 }), box, () => 1, { trials: 300 })
  const cells = new Set(trials.map(({ point }) => `${Math.floor(5 * point[0]!)} ${Math.floor(5 * point[1]!)}`))
  expect(cells.size).toBeGreaterThan(21)
  expect(trials.every(({ note }) => (note as { emitter: number | null }).emitter === null)).toBe(true)
})

test('climbs in every area where a reward was found, and leaves an area that gains no more', async () => {
  const centers = [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.5, 0.9],
  ] as const
  const nearest = (x: number, y: number) => Math.min(...centers.map(([a, b]) => Math.hypot(x - a, y - b)))
  const trials = await run(novelty({ reward: 0 }), box, ({ x, y }) => (nearest(x, y) < 0.15 ? nearest(x, y) - 1 : 1), {
    trials: 600,
  })
  for (const [a, b] of centers) {
    const distances = trials.map(({ parameters: { x, y } }) => Math.hypot((x as number) - a, (y as number) - b))
    expect(Math.min(...distances)).toBeLessThan(0.03)
  }
  const roots = new Set(trials.flatMap(({ note }) => (note as { emitter: number | null }).emitter ?? []))
  expect(roots.size).toBeGreaterThanOrEqual(3)
  for (const root of roots) expect(trials[root]!.values![0]).toBeLessThan(0)
})
