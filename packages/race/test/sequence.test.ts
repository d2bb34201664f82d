import { describe, expect, it } from 'vitest'
import { studySeeds } from '../src/search/random.ts'
import { sobol, sobolDimensions, tuningSequence } from '../src/search/sequence.ts'
import { edgeAlarms, positionOf, settingAt, valueAt } from '../src/search/space.ts'

describe('sobol', () => {
  it('starts with the published points', () => {
    // Joe and Kuo, new-joe-kuo-6, natural order; the first dimension is van der Corput in base 2.
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((index) => sobol(0, index))).toEqual([
      0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875,
    ])
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((index) => sobol(1, index))).toEqual([
      0, 0.5, 0.75, 0.25, 0.625, 0.125, 0.375, 0.875,
    ])
    expect([0, 1, 2, 3, 4].map((dimension) => sobol(dimension, 7))).toEqual([0.875, 0.875, 0.125, 0.375, 0.875])
  })

  it('puts one of the first 2^k points into each of 2^k equal intervals, in every dimension', () => {
    for (let dimension = 0; dimension < sobolDimensions; dimension++) {
      const cells = new Set(Array.from({ length: 64 }, (_, index) => Math.floor(sobol(dimension, index) * 64)))
      expect(cells.size, `dimension ${dimension}`).toBe(64)
    }
  })

  it('names the dimensions there are', () => {
    expect(() => sobol(sobolDimensions, 0)).toThrow(`use 0 to ${sobolDimensions - 1}`)
  })
})

describe('tuningSequence', () => {
  it('pairs trials: one coordinate per point and name, whoever asks', () => {
    const sequence = tuningSequence(5, ['weightDecay', 'learningRate', 'momentum'])
    const wide = { scale: 'log', minimum: 1e-4, maximum: 1 } as const
    const narrow = { scale: 'log', minimum: 1e-3, maximum: 1e-1 } as const
    for (let index = 0; index < 16; index++) {
      const first = settingAt({ learningRate: wide, weightDecay: wide }, sequence, index)
      const second = settingAt({ momentum: narrow, learningRate: narrow }, sequence, index)
      const third = settingAt({ learningRate: wide }, sequence, index)
      expect(third.learningRate).toBe(first.learningRate)
      expect(positionOf(narrow, second.learningRate!)).toBeCloseTo(positionOf(wide, first.learningRate!)!, 3)
    }
  })

  it('rotates the Sobol points by one shift per name and study', () => {
    const first = tuningSequence(5, ['learningRate', 'beta1'])
    const second = tuningSequence(6, ['learningRate', 'beta1'])
    expect(first.shift.learningRate).not.toBe(second.shift.learningRate)
    expect(first.shift.learningRate).not.toBe(first.shift.beta1)
    expect(first.coordinate('beta1', 3)).toBeCloseTo((sobol(1, 3) + first.shift.beta1!) % 1, 12)
    const cells = new Set(
      Array.from({ length: 8 }, (_, index) =>
        Math.floor(((first.coordinate('learningRate', index) - first.shift.learningRate! + 1) % 1) * 8 + 1e-9),
      ),
    )
    expect(cells.size).toBe(8)
  })

  it('says when there are too many hyperparameters', () => {
    expect(() =>
      tuningSequence(
        1,
        Array.from({ length: 30 }, (_, index) => `h${index}`),
      ),
    ).toThrow('at most 21 can be')
  })
})

describe('search ranges', () => {
  it('maps coordinates by the scale of the range', () => {
    expect(valueAt({ scale: 'log', minimum: 1e-4, maximum: 1 }, 0.5)).toBe(0.01)
    expect(valueAt({ scale: 'linear', minimum: 1, maximum: 3 }, 0.25)).toBe(1.5)
    expect([0, 0.33, 0.34, 0.67, 0.999].map((u) => valueAt({ scale: 'choice', values: [7, 8, 9] }, u))).toEqual([
      7, 7, 8, 9, 9,
    ])
    // Four digits, and never outside.
    expect(valueAt({ scale: 'log', minimum: 1.23444e-5, maximum: 1 }, 0)).toBe(1.23444e-5)
    expect(String(valueAt({ scale: 'linear', minimum: 0, maximum: 1 }, 1 / 3))).toBe('0.3333')
  })

  it('alarms within 5% of a bound in the scaled coordinate', () => {
    const space = {
      learningRate: { scale: 'log', minimum: 1e-4, maximum: 1 },
      momentum: { scale: 'linear', minimum: 0, maximum: 1 },
      weightDecay: { scale: 'choice', values: [0, 0.1] },
    } as const
    // 1e-4 * 10^(4 * 0.04) is 4% up the logarithmic range, though far more than 5% above the minimum.
    expect(edgeAlarms('a', space, { learningRate: 1.445e-4, momentum: 0.94, weightDecay: 0 })).toEqual([
      { contender: 'a', hyperparameter: 'learningRate', value: 1.445e-4, bound: 'minimum', limit: 1e-4 },
    ])
    expect(edgeAlarms('a', space, { learningRate: 0.01, momentum: 0.96, weightDecay: 0.1 })).toMatchObject([
      { hyperparameter: 'momentum', bound: 'maximum', limit: 1 },
    ])
    expect(edgeAlarms('a', space, { learningRate: 1.8e-4, momentum: 0.06, weightDecay: 0 })).toEqual([])
  })
})

describe('studySeeds', () => {
  it('keeps tuning and report seeds apart, and earlier ones when more are asked for', () => {
    const few = studySeeds(3, 2, 4)
    const many = studySeeds(3, 2, 9)
    expect(new Set([...many.tuning, ...many.report]).size).toBe(11)
    expect(many.tuning).toEqual(few.tuning)
    expect(many.report.slice(0, 4)).toEqual(few.report)
    expect(studySeeds(4, 2, 4).report).not.toEqual(few.report)
  })
})
