import { describe, expect, it } from 'vitest'
import { relativeSpread, speedRatio, summarize } from '../src/statistics.ts'

describe('summarize', () => {
  it('gives median and quartiles in any order and leaves the list alone', () => {
    const values = [5, 1, 4, 2, 3]
    expect(summarize(values)).toEqual({ median: 3, low: 2, high: 4, count: 5 })
    expect(values).toEqual([5, 1, 4, 2, 3])
  })

  it('takes the middle of an even number of values', () => {
    expect(summarize([1, 2, 3, 10]).median).toBe(2.5)
  })

  it('is not moved by one value that is far off', () => {
    expect(summarize([1, 1, 1, 1, 1000]).median).toBe(1)
  })

  it('sorts numbers, not their text', () => {
    expect(summarize([9, 10, 100]).median).toBe(10)
  })

  it('refuses an empty list', () => {
    expect(() => summarize([])).toThrow(/at least one/)
  })
})

describe('relativeSpread', () => {
  it('is half the distance of the quartiles over the median', () => {
    expect(relativeSpread({ median: 10, low: 9, high: 11, count: 5 })).toBeCloseTo(0.1, 12)
  })
})

describe('speedRatio', () => {
  it('is above one where the first needs less time', () => {
    expect(speedRatio([1, 1, 1], [2, 2, 2]).median).toBe(2)
  })

  it('compares within a round, so that a slow phase of the machine cancels', () => {
    const ratio = speedRatio([1, 10, 1, 30], [2, 20, 2, 60])
    expect(ratio).toEqual({ median: 2, low: 2, high: 2, count: 4 })
  })

  it('refuses lists of different length', () => {
    expect(() => speedRatio([1], [1, 2])).toThrow(/1 rounds against 2/)
  })
})
