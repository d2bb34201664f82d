import { sobol, sobolDimensions } from '@fallline/search/internal'
import { describe, expect, it } from 'vitest'
import { seedsOfStudy } from '../src/protocol/study.ts'
import { shiftedSobol } from '../src/search/sequence.ts'
import {
  checkSpace,
  type Limits,
  positionOf,
  type Setting,
  settingAt,
  valueAt,
  valueAtPosition,
} from '../src/search/space.ts'
import { insideTrials, outermost, proposeTrial } from '../src/search/trials.ts'

describe('shiftedSobol', () => {
  const names = ['weightDecay', 'learningRate', 'beta1']

  it('rotates the Sobol points by one shift per dimension, seed and purpose', () => {
    const first = shiftedSobol(names, 5, 'study 0 of lion')
    expect(first.dimensions).toEqual(['learningRate', 'beta1', 'weightDecay'])
    const shifts = [
      ...Object.values(first.shift),
      ...Object.values(shiftedSobol(names, 5, 'study 1 of lion').shift),
      ...Object.values(shiftedSobol(names, 5, 'study 0 of adan').shift),
      ...Object.values(shiftedSobol(names, 6, 'study 0 of lion').shift),
    ]
    expect(new Set(shifts).size).toBe(12)
    expect(shiftedSobol([...names].reverse(), 5, 'study 0 of lion').shift).toEqual(first.shift)
    for (let index = 0; index < 16; index++) {
      expect(first.coordinate('beta1', index)).toBeCloseTo((sobol(1, index) + first.shift.beta1!) % 1, 12)
      expect(first.coordinate('learningRate', index)).toBeCloseTo((sobol(0, index) + first.shift.learningRate!) % 1, 12)
    }
  })

  it('always has a learning rate, and knows no other dimensions than its own', () => {
    expect(shiftedSobol([], 1, 'x').dimensions).toEqual(['learningRate'])
    expect(() => shiftedSobol(['beta1'], 1, 'x').coordinate('beta2', 0)).toThrow(
      "'beta2' is not a dimension of this study: learningRate, beta1",
    )
  })

  it('says when there are too many hyperparameters', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `h${index}`)
    expect(() => shiftedSobol(many(sobolDimensions), 1, 'x')).toThrow('at most 21 can be')
    expect(shiftedSobol(many(sobolDimensions - 1), 1, 'x').dimensions.length).toBe(21)
  })
})

describe('search ranges', () => {
  it('map coordinates by their scale', () => {
    expect(valueAt({ scale: 'log', minimum: 1e-4, maximum: 1 }, 0.5)).toBe(0.01)
    expect(valueAt({ scale: 'linear', minimum: 1, maximum: 3 }, 0.25)).toBe(1.5)
    expect([0, 0.33, 0.34, 0.67, 0.999].map((u) => valueAt({ scale: 'choice', values: [7, 8, 9] }, u))).toEqual([
      7, 7, 8, 9, 9,
    ])
    // Four digits, and never outside.
    expect(valueAt({ scale: 'log', minimum: 1.23444e-5, maximum: 1 }, 0)).toBe(1.23444e-5)
    expect(String(valueAt({ scale: 'linear', minimum: 0, maximum: 1 }, 1 / 3))).toBe('0.3333')
  })

  it('have positions beyond their bounds', () => {
    const range = { scale: 'log', minimum: 1e-4, maximum: 1 } as const
    expect(positionOf(range, 0.01)).toBeCloseTo(0.5, 12)
    expect(valueAtPosition(range, 1.25)).toBe(10)
    expect(positionOf(range, 10)).toBeCloseTo(1.25, 12)
    expect(valueAtPosition({ scale: 'linear', minimum: 0, maximum: 2 }, -0.5)).toBe(-1)
    expect(positionOf({ scale: 'choice', values: [1, 2] }, 1)).toBeUndefined()
  })

  it('must make sense', () => {
    const learningRate = { scale: 'log', minimum: 1e-4, maximum: 1 } as const
    expect(() => checkSpace('mine', {})).toThrow('mine: no search range for learningRate')
    expect(() => checkSpace('mine', { learningRate, beta1: { scale: 'linear', minimum: 1, maximum: 1 } })).toThrow(
      'mine: search range of beta1: from 1 to 1 is no linear range',
    )
    expect(() => checkSpace('mine', { learningRate, beta1: { scale: 'choice', values: [] } })).toThrow(
      'values must be at least one finite number, not []',
    )
    expect(() => checkSpace('mine', { learningRate: { scale: 'cubic' } as never })).toThrow(
      "scale must be 'log', 'linear' or 'choice', not 'cubic'",
    )
  })
})

describe('proposeTrial', () => {
  const space = {
    learningRate: { scale: 'log', minimum: 1e-4, maximum: 1 },
    momentum: { scale: 'linear', minimum: 0, maximum: 0.9 },
    steps: { scale: 'choice', values: [1, 2] },
  } as const
  const sequence = shiftedSobol(Object.keys(space), 3, 'proposals')
  const limits: Limits = {
    learningRate: { minimum: 0, maximum: Infinity, aboveMinimum: true, belowMaximum: false },
    momentum: { minimum: 0, maximum: 1, aboveMinimum: false, belowMaximum: true },
  }
  const trials = 8
  const inside = insideTrials(trials)
  const points = Array.from({ length: trials }, (_, index) => settingAt(space, sequence, index))
  /** Trials around the middle, with one whose values are at will. */
  const around = (best: Setting) => [
    { learningRate: 0.01, momentum: 0.45, steps: 1 },
    { learningRate: 0.02, momentum: 0.4, steps: 2 },
    { learningRate: 0.005, momentum: 0.5, steps: 1 },
    best,
  ]
  const propose = (index: number, best: Setting | null, own: Limits = limits) =>
    proposeTrial(space, sequence, own, index, trials, best === null ? [] : around(best), best)

  it('keeps the first three quarters on the sequence, whatever is best', () => {
    expect([1, 2, 3, 4, 8, 16].map(insideTrials)).toEqual([1, 2, 3, 3, 6, 12])
    const edge = { learningRate: 0.99, momentum: 0.45, steps: 1 }
    for (let index = 0; index < inside; index++) expect(propose(index, edge)).toEqual(points[index])
  })

  it('goes one distance of neighbouring trials beyond the outermost best, and keeps its other values', () => {
    const edge = { learningRate: 0.99, momentum: 0.45, steps: 2 }
    const next = propose(inside, edge)
    const position = (setting: Setting) => positionOf(space.learningRate, setting.learningRate!)!
    expect(next.learningRate).toBeGreaterThan(1)
    expect(position(next) - position(edge)).toBeCloseTo(1 / inside, 3)
    expect(next).toMatchObject({ momentum: 0.45, steps: 2 })
    // On from there, as long as the outermost is best.
    const again = proposeTrial(space, sequence, limits, inside + 1, trials, [...around(edge), next], next)
    expect(position(again) - position(next)).toBeCloseTo(1 / inside, 3)
    const low = propose(inside, { learningRate: 1.1e-4, momentum: 0.45, steps: 1 })
    expect(low.learningRate).toBeLessThan(1e-4)
  })

  it('leaves the range in every hyperparameter that is at its edge', () => {
    const next = propose(inside, { learningRate: 0.99, momentum: 0.01, steps: 1 }, {})
    expect(next.learningRate).toBeGreaterThan(1)
    expect(next.momentum).toBeLessThan(0)
  })

  it('stays on the sequence where the best is not the outermost, or is not known', () => {
    const middle = { learningRate: 0.012, momentum: 0.45, steps: 1 }
    expect(propose(inside, middle)).toEqual(points[inside])
    expect(propose(inside, null)).toEqual(points[inside])
  })

  it('never proposes what is not valid', () => {
    // Beyond 0.9 lies 1.04, which is no momentum, and below 0 no learning rate.
    const edge = { learningRate: 0.012, momentum: 0.89, steps: 1 }
    expect(propose(inside, edge)).toEqual(points[inside])
    const both = propose(inside, { learningRate: 0.99, momentum: 0.89, steps: 1 })
    expect(both.learningRate).toBeGreaterThan(1)
    expect(both.momentum).toBe(0.89)
    const closed: Limits = { momentum: { minimum: -0.1, maximum: 0.9, aboveMinimum: true, belowMaximum: false } }
    const linear = { learningRate: { scale: 'linear', minimum: 0, maximum: 0.6 }, momentum: space.momentum } as const
    const at = { learningRate: 0.3, momentum: 0.05 }
    const tried = [{ learningRate: 0.2, momentum: 0.1 }, { learningRate: 0.4, momentum: 0.2 }, at]
    // 0.05 - 0.9 / 6 is -0.1, which the first limit excludes and the second includes.
    const open: Limits = { momentum: { ...closed.momentum!, aboveMinimum: false } }
    const own = shiftedSobol(Object.keys(linear), 3, 'proposals')
    expect(proposeTrial(linear, own, closed, inside, trials, tried, at).momentum).toBeGreaterThanOrEqual(0)
    expect(proposeTrial(linear, own, open, inside, trials, tried, at).momentum).toBe(-0.1)
  })

  it('takes nothing for outermost where all values are the same, or where there is no order', () => {
    const same = [1, 2].map((steps) => ({ learningRate: 0.1, momentum: 0.5, steps }))
    expect(outermost(space, same, same[0]!)).toEqual([])
    const tried = around({ learningRate: 0.9, momentum: 0.1, steps: 2 })
    expect(outermost(space, tried, tried[3]!)).toEqual([
      ['learningRate', 'maximum'],
      ['momentum', 'minimum'],
    ])
  })
})

describe('seedsOfStudy', () => {
  it('keeps earlier seeds when more are asked for', () => {
    const few = seedsOfStudy(3, 0, 1, 4)
    const many = seedsOfStudy(3, 0, 2, 9)
    expect(many.tuning).toBe(few.tuning)
    expect(many.finals.slice(0, 1)).toEqual(few.finals)
    expect(many.reports.slice(0, 4)).toEqual(few.reports)
  })

  it('gives every purpose, study and race seeds of its own', () => {
    const all = [3, 4].flatMap((seed) =>
      [0, 1, 2].flatMap((study) => {
        const { tuning, finals, reports } = seedsOfStudy(seed, study, 2, 9)
        return [tuning, ...finals, ...reports]
      }),
    )
    expect(new Set(all).size).toBe(2 * 3 * 12)
    expect(all.every((seed) => Number.isInteger(seed) && seed >= 1 && seed < 1e9)).toBe(true)
  })
})
