import { expect, test } from 'vitest'
import { curveExtrapolation, float, random, space } from '../../src/index.ts'
import { extrapolated } from '../../src/pruners/curve-extrapolation.ts'
import { curve, viewOf } from '../support/view.ts'

const line = space({ x: float(0, 1) })
const resource = { name: 'epoch', minimum: 1, maximum: 100 }
const steps = Array.from({ length: 20 }, (_, index) => index + 1)

test('finds the end of curves that follow a law', () => {
  const reports = (law: (step: number) => number) => steps.map((step) => ({ step, value: law(step) }))
  const power = extrapolated(
    reports((step) => 0.3 + 2 * step ** -0.5),
    100,
    0.05,
  )
  expect(power.end).toBeCloseTo(0.5, 2)
  const exponential = extrapolated(
    reports((step) => 0.3 + 2 * Math.exp(-step / 10)),
    100,
    0.05,
  )
  expect(exponential.end).toBeCloseTo(0.3, 2)
  for (const { end, optimistic } of [power, exponential]) expect(optimistic).toBeLessThanOrEqual(end)
})

test('is rarely too pessimistic: the end is below the optimistic one in few of 400 noisy curves', () => {
  const source = random(1, 'noisy curves')
  let missed = 0
  for (let number = 0; number < 400; number++) {
    const [floor, rate] = [source.uniform(), 0.3 + source.uniform()]
    const reports = steps.map((step) => ({ step, value: floor + 2 * step ** -rate + 0.02 * source.normal() }))
    if (floor + 2 * 100 ** -rate < extrapolated(reports, 100, 0.05).optimistic) missed++
  }
  expect(missed / 400).toBeLessThan(0.05)
})

test('stops a curve that would end worse than the best and no other', () => {
  const best = curve(0, [1, 0.5], { losses: [0.4] })
  const view = viewOf(line, [best], { resource })
  const decide = (law: (step: number) => number, count = 20) =>
    curveExtrapolation().decide(view, curve(9, steps.slice(0, count).map(law)))
  expect(decide((step) => 0.8 + 2 * step ** -1)).toBe('stop')
  expect(decide((step) => 0.1 + 2 * step ** -0.7)).toBe('continue')
  expect(decide((step) => 0.8 + 2 * step ** -1, 5)).toBe('continue')
  expect(decide(() => 0.7)).toBe('stop')
  expect(decide(() => 0.4)).toBe('continue')
  // It has been better than the best already, whatever comes.
  expect(decide((step) => (step === 3 ? 0.3 : 0.9))).toBe('continue')
})

test('bears odd views, and leaves out what is not finite', () => {
  const flat = curve(9, [NaN, Infinity, 1, 1, 1, 1, 1, 1])
  const decide = (trials: Parameters<typeof viewOf>[1], trial = flat, given = { resource }) =>
    curveExtrapolation().decide(viewOf(line, trials, given), trial)
  expect(decide([])).toBe('continue')
  expect(decide([curve(0, [1], { state: 'failed' })])).toBe('continue')
  expect(decide([curve(0, [0.5], { losses: [0.5] })])).toBe('stop')
  expect(decide([curve(0, [0.5], { losses: [-Infinity] })])).toBe('stop')
  expect(decide([curve(0, [0.5], { losses: [Infinity] })])).toBe('continue')
  expect(decide([curve(0, [0.5], { losses: [0.5] })], curve(9, [NaN, NaN, NaN, NaN, NaN, NaN]))).toBe('continue')
  expect(curveExtrapolation({ horizon: 8 }).decide(viewOf(line, [curve(0, [0.5], { losses: [0.5] })]), flat)).toBe(
    'continue',
  )
  expect(() => curveExtrapolation({ level: 0.6 })).toThrow(/level must be in \(0, 0.5\), not 0.6/)
})
