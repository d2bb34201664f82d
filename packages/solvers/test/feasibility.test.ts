import { describe, expect, it } from 'vitest'
import { type DisplacementMethod, displacements, feasibility } from '../src/index.ts'

const disc = (centre: number[], radius: number) => (x: Float64Array) => {
  const away = x.map((each, i) => each - centre[i]!)
  const length = Math.hypot(...away)
  return length <= radius ? x : away.map((each, i) => centre[i]! + (each * radius) / length)
}
const above = (height: number) => (x: Float64Array) => [x[0]!, Math.max(height, x[1]!)]

describe('displacements', () => {
  it('has O(1 / √k) in the iteration of Picard and O(1 / k) in that of Halpern, against the exact vector', () => {
    // Averaged rotations by many small angles, and a translation by v: no fixed point.
    const angles = Array.from({ length: 24 }, (_, j) => 0.6 * 0.8 ** j)
    const v = 0.7
    const map = (x: Float64Array) => {
      const y = x.slice()
      angles.forEach((angle, j) => {
        const [c, s] = [Math.cos(angle) ** 2, Math.cos(angle) * Math.sin(angle)]
        y[2 * j] = c * x[2 * j]! - s * x[2 * j + 1]!
        y[2 * j + 1] = s * x[2 * j]! + c * x[2 * j + 1]!
      })
      y[48] = x[48]! - v
      return y
    }
    const start = new Float64Array(49).fill(1)
    const radius = Math.sqrt(48)
    const error = (method: DisplacementMethod, ks: number[]) => {
      const errors: { difference: number; drift: number }[] = []
      let k = 0
      for (const { difference, drift } of displacements(map, start, method)) {
        const from = (of: Float64Array) => Math.hypot(...of.map((each, i) => each - (i === 48 ? v : 0)))
        if (ks.includes(k)) errors.push({ difference: from(difference), drift: from(drift) })
        // The bound of Halpern's iteration: 2 |x⁰ - x*| / (k + 1).
        if (method === 'halpern') expect(from(difference)).toBeLessThanOrEqual((2 * radius) / (k + 1) + 1e-12)
        if (++k > ks.at(-1)!) break
      }
      return errors
    }
    const [picard, halpern] = [error('picard', [25, 400]), error('halpern', [25, 400])]
    const ratio = (errors: typeof picard, of: 'difference' | 'drift') => errors[0]![of] / errors[1]![of]
    // 16 times as many iterations: 4 and 16.
    expect(ratio(picard, 'difference')).toBeGreaterThan(3)
    expect(ratio(picard, 'difference')).toBeLessThan(5)
    expect(ratio(halpern, 'difference')).toBeGreaterThan(10)
    expect(ratio(picard, 'drift')).toBeGreaterThan(10)
    expect(ratio(halpern, 'drift')).toBeGreaterThan(10)
  })
})

describe('feasibility', () => {
  it.each(['halpern', 'picard'] as const)(
    '%s: gives the gap between a disc and a half-plane, known in closed form',
    (method) => {
      const { first, second, status } = feasibility(disc([2, 1], 1), above(5), [-3, 0], { method, tolerance: 1e-3 })
      if (status.kind !== 'infeasible') throw new Error(status.kind)
      expect(status.certificate[0]).toBeCloseTo(0, 2)
      expect(status.certificate[1]).toBeCloseTo(3, 2)
      expect([first[0], first[1]]).toEqual([expect.closeTo(2, 2), expect.closeTo(2, 2)])
      expect(second[1]).toBeCloseTo(5, 9)
      // It separates the sets.
      for (let angle = 0; angle < 6.3; angle += 0.1) {
        const a = [2 + Math.cos(angle), 1 + Math.sin(angle)]
        const height = a[0]! * status.certificate[0]! + a[1]! * status.certificate[1]!
        expect(height).toBeLessThan(5 * status.certificate[1]!)
      }
    },
  )
  it.each(['halpern', 'picard'] as const)('%s: finds a common point', (method) => {
    const { first, second, status } = feasibility(disc([2, 1], 1), above(1.5), [-3, 0], { method, tolerance: 1e-3 })
    expect(status).toEqual({ kind: 'converged', test: 'gap' })
    expect(Math.hypot(first[0]! - 2, first[1]! - 1)).toBeLessThanOrEqual(1 + 1e-12)
    expect(second[1]).toBeGreaterThanOrEqual(1.5)
  })
  it('ends at limits, keeps errors, and names what is wrong', () => {
    const same = (x: Float64Array) => x
    expect(feasibility(same, same, []).status.kind).toBe('converged')
    expect(feasibility(disc([0], 1), (x) => x.map((each) => each + 5), [0], { iterations: 3 }).status).toEqual({
      kind: 'limit',
      of: 'iterations',
    })
    const throwing = () => {
      throw new Error('no more')
    }
    expect(feasibility(throwing, same, [0]).status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(() => feasibility(same, same, [Number.NaN])).toThrow('start[0]: NaN')
    expect(() => displacements(() => [], [1]).next()).toThrow('map: 0 numbers were given for 1 variables')
  })
})
