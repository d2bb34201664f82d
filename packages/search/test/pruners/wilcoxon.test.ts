import { expect, test } from 'vitest'
import { float, space, wilcoxonPruner } from '../../src/index.ts'
import { signedRankTail } from '../../src/statistics/signed-rank.ts'
import { curve, viewOf } from '../support/view.ts'

const line = space({ x: float(0, 1) })

test('counts signs and ranks exactly', () => {
  // Only all 5 positive reach the sum 15.
  expect(signedRankTail([1, 2, 3, 4, 5])).toBe(1 / 32)
  // Sums of at least 12 of the ranks 1 to 5: 15, 14, 13, two ways to 12.
  expect(signedRankTail([1, 2, -3, 4, 5])).toBe(5 / 32)
  expect(signedRankTail([-1, -2])).toBe(1)
  // Three equal sizes share the rank 2: 6 is reached by one of eight.
  expect(signedRankTail([7, 7, 7])).toBe(1 / 8)
  // A zero takes rank 1, so 2 + 3 is reached by one of the four signs of the others.
  expect(signedRankTail([0, 1, 2])).toBe(1 / 4)
  expect(signedRankTail([0, 0])).toBe(1)
  expect(signedRankTail([Infinity, 1, 2])).toBe(1 / 8)
})

test('goes over into the normal distribution', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => (index % 5 < 2 ? -1 : 1) * (index + 1))
  const exact = signedRankTail(many(60))
  expect(signedRankTail([...many(60), 0, 0])).toBeCloseTo(exact, 2)
  // Of the ranks 1 to 65 the positive sum is 1,326; the mean is 1,072.5 and the deviation sqrt(65 66 131 / 24).
  const positive = many(65).reduce((sum, value) => sum + Math.max(0, value), 0)
  const z = (positive - 0.5 - 1072.5) / Math.sqrt((65 * 66 * 131) / 24)
  expect(positive).toBe(1326)
  expect(z).toBeGreaterThan(1.5)
  expect(signedRankTail(many(65))).toBeCloseTo(0.0491, 3)
})

test('stops what is worse than the best on the steps that both have', () => {
  const best = curve(0, [1, 1, 1, 1, 1, 1], { losses: [1] })
  const other = curve(1, [0, 0, 9, 9, 9, 9], { losses: [6] })
  const decide = (values: number[], options = {}) =>
    wilcoxonPruner(options).decide(viewOf(line, [other, best]), curve(9, values))
  // 1/8 with three worse steps, 1/16 with four.
  expect(decide([2, 3, 4])).toBe('continue')
  expect(decide([2, 3, 4, 5])).toBe('stop')
  expect(decide([2, 3, 4], { level: 0.2 })).toBe('stop')
  expect(decide([0, 3, 4, 5, 6])).toBe('stop')
  expect(decide([-9, 2, 3, 2.5])).toBe('continue')
  expect(decide([1, 1, 1, 1])).toBe('continue')
  expect(decide([2, 3, 4, 5], { least: 5 })).toBe('continue')
  expect(decide([NaN, 2, 3, 4])).toBe('continue')
  expect(decide([Infinity, Infinity, Infinity, Infinity])).toBe('stop')
  expect(wilcoxonPruner().decide(viewOf(line, []), curve(9, [1, 2]))).toBe('continue')
  expect(wilcoxonPruner().decide(viewOf(line, [{ ...best, state: 'failed' }]), curve(9, [2, 3, 4, 5]))).toBe('continue')
  expect(() => wilcoxonPruner({ level: 1 })).toThrow(/level must be between 0 and 1, not 1/)
})
