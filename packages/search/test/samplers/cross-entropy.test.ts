import { expect, test } from 'vitest'
import { crossEntropy, float, space } from '../../src/index.ts'
import { fitted } from '../../src/samplers/cross-entropy.ts'
import { least, run, sphere } from '../support/evolution-functions.ts'

test('fits mean and deviation of the elite', () => {
  const before = { weights: [1], means: [[0.5, 0.5]], deviations: [[0.3, 0.3]] }
  const points = [
    [0, 0.4],
    [0.2, 0.6],
    [0.4, 0.2],
  ]
  const { means, deviations } = fitted(before, points, 1)
  expect(means[0]![0]).toBeCloseTo(0.2, 12)
  expect(means[0]![1]).toBeCloseTo(0.4, 12)
  expect(deviations[0]![0]).toBeCloseTo(Math.sqrt(0.08 / 3), 12)
  expect(fitted(before, points, 0.5).means[0]![0]).toBeCloseTo(0.35, 12)
})

test('fits each component to its own points, and becomes no less likely', () => {
  const points = [0.1, 0.12, 0.14, 0.8, 0.82, 0.84, 0.86, 0.88].map((value) => [value])
  const before = { weights: [0.5, 0.5], means: [[0.3], [0.6]], deviations: [[0.2], [0.2]] }
  const after = fitted(before, points, 1)
  expect(after.means[0]![0]).toBeCloseTo(0.12, 3)
  expect(after.means[1]![0]).toBeCloseTo(0.84, 3)
  expect(after.weights[0]).toBeCloseTo(3 / 8, 3)
  const likelihood = ({ weights, means, deviations }: typeof before) =>
    points.reduce((sum, [x = 0]) => {
      const density = weights.reduce(
        (total, weight, k) =>
          total + (weight / deviations[k]![0]!) * Math.exp(-(((x - means[k]![0]!) / deviations[k]![0]!) ** 2) / 2),
        0,
      )
      return sum + Math.log(density)
    }, 0)
  expect(likelihood(after as typeof before)).toBeGreaterThan(likelihood(before))
})

test('finds the least of a sphere', async () => {
  const box = space({ x: float(-1, 2), y: float(-1, 2), z: float(-1, 2) })
  const trials = await run(crossEntropy(), box, ({ x, y, z }) => sphere([x, y, z]), { trials: 400 })
  expect(least(trials)).toBeLessThan(1e-3)
  expect(() => crossEntropy({ elite: 0 })).toThrow('crossEntropy: elite must be above 0 and at most 1, not 0')
})
