import { expect, test } from 'vitest'
import { estimationOfDistribution, float, space } from '../../src/index.ts'
import { estimated } from '../../src/samplers/estimation-of-distribution.ts'
import { least, run, sphere } from '../support/evolution-functions.ts'

test('estimates mean and covariance, jointly or for each number alone', () => {
  const points = [
    [0, 0.1],
    [0.2, 0.2],
    [0.4, 0.6],
  ]
  const covariance = (isJoint: boolean) => {
    const {
      mean,
      shape: [a = 0, b = 0, c = 0, d = 0],
    } = estimated(points, isJoint)
    expect(mean).toEqual([expect.closeTo(0.2, 12), expect.closeTo(0.3, 12)])
    return [a * a + b * b, a * c + b * d, c * c + d * d]
  }
  const [first, second] = [0.08 / 3, 0.14 / 3]
  expect(covariance(true)).toEqual([expect.closeTo(first, 12), expect.closeTo(0.1 / 3, 12), expect.closeTo(second, 12)])
  expect(covariance(false)).toEqual([expect.closeTo(first, 12), expect.closeTo(0, 12), expect.closeTo(second, 12)])
})

test.each(['independent', 'joint'] as const)('finds the least of a sphere: %s', async (model) => {
  const box = space({ x: float(-1, 2), y: float(-1, 2) })
  const trials = await run(estimationOfDistribution({ model }), box, ({ x, y }) => sphere([x, y]), { trials: 500 })
  expect(least(trials)).toBeLessThan(1e-3)
  expect(() => estimationOfDistribution({ elite: 2 })).toThrow('elite must be above 0 and at most 1, not 2')
})
