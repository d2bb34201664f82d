import { random } from '@fallline/search/internal'
import { describe, expect, it } from 'vitest'
import { falseConfirmations } from '../../recording/identical.ts'
import { confirm, fewestSeeds } from '../../src/choose/confirm.ts'
import { defaultPolicy } from '../../src/search/policies/index.ts'

const normals = (seed: number) => {
  const source = random(seed, 'normal')
  return () => Math.sqrt(-2 * Math.log(1 - source.uniform())) * Math.cos(2 * Math.PI * source.uniform())
}

describe('the final test', () => {
  it('has the exact distribution of the signed ranks', () => {
    // All eight won: one of 2^8 signs. Lost where the difference is the smallest: two of them.
    const baseline = [0, 0, 0, 0, 0, 0, 0, 0]
    expect(confirm([-1, -2, -3, -4, -5, -6, -7, -8], baseline).pValue).toBe(1 / 256)
    expect(confirm([1, -2, -3, -4, -5, -6, -7, -8], baseline).pValue).toBe(2 / 256)
    // Rank sum 5 of 36: 1, 1, 1, 2, 2 and 3 ways for 0 to 5; the last that is confirmed. With 6 there are four more.
    expect(confirm([-1, -2, -3, -4, 5, -6, -7, -8], baseline)).toMatchObject({ pValue: 10 / 256, confirmed: true })
    expect(confirm([-1, -2, -3, -4, -5, 6, -7, -8], baseline)).toMatchObject({ pValue: 14 / 256, confirmed: false })
    expect(confirm([1, 2, 3, 4, 5, 6, 7, 8], baseline).pValue).toBe(1)
  })

  it('gives differences of equal size their mean rank and leaves equal metrics out', () => {
    // Ranks 2, 2, 2 of three differences: the one that was lost is as large as the others.
    expect(confirm([-1, -1, 1], [0, 0, 0]).pValue).toBe(4 / 8)
    expect(confirm([-1, -2, 5, 5], [0, 0, 5, 5])).toMatchObject({ pValue: 1 / 4, wins: 2, ties: 2, losses: 0 })
    expect(confirm([1, 1, 1], [1, 1, 1])).toMatchObject({ pValue: 1, ties: 3, difference: 0, confirmed: false })
  })

  it('counts a run that did not finish as the worst', () => {
    const lost = confirm([Infinity, 1, 1, 1, 1, 1, 1, 1], [2, 3, 4, 5, 6, 7, 8, 9])
    expect(lost).toMatchObject({ wins: 7, losses: 1, pValue: 25 / 256, confirmed: false, medianOfPick: 1 })
    expect(lost.interval[1]).toBeNull()
    expect(confirm([1, 1, 1, 1, 1, Infinity], [Infinity, 2, 2, 2, 2, Infinity])).toMatchObject({ wins: 5, ties: 1 })
    expect(confirm(Array(8).fill(1), Array(8).fill(Infinity))).toMatchObject({
      confirmed: true,
      medianOfBaseline: null,
      difference: null,
    })
  })

  it('estimates the difference with an interval that agrees with the test', () => {
    const draw = normals(3)
    let inside = 0
    for (let repetition = 0; repetition < 400; repetition++) {
      const baseline = Array.from({ length: 8 }, () => draw())
      const pick = baseline.map((value) => value - 0.8 + draw())
      const { interval, pValue, confirmed } = confirm(pick, baseline)
      expect(confirmed).toBe(interval[1]! < 0)
      expect(confirmed).toBe(pValue <= 0.05)
      if (interval[0]! <= -0.8 && -0.8 <= interval[1]!) inside++
    }
    // 90 % by construction (92.2 % with 8 seeds); its standard error here is 1.3 %.
    expect(inside / 400).toBeGreaterThan(0.88)
    expect(inside / 400).toBeLessThan(0.96)
  })

  it('refuses what it cannot compare and knows how few seeds are too few', () => {
    expect(() => confirm([1, 2], [1])).toThrow('there are 2 and 1 metrics')
    expect(() => confirm([], [])).toThrow('at least one')
    expect(() => confirm([Number.NaN], [1])).toThrow('NaN')
    expect(() => confirm([1], [1], 0.5)).toThrow('between 0 and 0.5')
    expect(fewestSeeds()).toBe(5)
    expect(confirm([1, 1, 1, 1], [2, 3, 4, 5]).confirmed).toBe(false)
    expect(confirm([1, 1, 1, 1, 1], [2, 3, 4, 5, 6]).confirmed).toBe(true)
  })

  it('confirms one in twenty of two equal ones at most, and most that are better by 1.5 deviations', () => {
    const draw = normals(1)
    const confirmedOf = (shift: number, repetitions: number) => {
      let confirmed = 0
      for (let repetition = 0; repetition < repetitions; repetition++) {
        const common = Array.from({ length: 8 }, () => 3 * draw())
        if (
          confirm(
            common.map((value) => value - shift + draw()),
            common.map((value) => value + draw()),
          ).confirmed
        )
          confirmed++
      }
      return confirmed / repetitions
    }
    // Exactly 10 / 256 = 3.9 %; the standard error of 6000 is 0.25 %.
    expect(confirmedOf(0, 6000)).toBeLessThan(0.05)
    expect(confirmedOf(0, 6000)).toBeGreaterThan(0.03)
    expect(confirmedOf(1.5 * Math.SQRT2, 1000)).toBeGreaterThan(0.9)
  })

  it('confirms at most one in twenty of the luckiest among optimizers that are all alike', () => {
    const { confirmed, tested } = falseConfirmations(defaultPolicy, { runs: 23, repetitions: 500, seed: 1 })
    expect(tested).toBeGreaterThan(300)
    expect(confirmed / tested).toBeLessThanOrEqual(0.05)
    // The test is used, not merely never confirming.
    expect(confirmed).toBeGreaterThan(3)
  })
})
