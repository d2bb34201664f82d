import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import * as schedules from '../src/schedules/index.ts'
import {
  chebyshev,
  constant,
  convexOptimal,
  cosine,
  cosineRestarts,
  cyclic,
  evaluateSchedule,
  exponential,
  gradientNormWarmup,
  type HyperValue,
  inverseSquareRoot,
  isSchedule,
  join,
  kDecay,
  linear,
  oneCycle,
  polynomial,
  proportion,
  reduceOnPlateau,
  refined,
  rex,
  type Schedule,
  stepwise,
  warmup,
  warmupCosine,
  warmupStableDecay,
} from '../src/schedules/index.ts'

/** Equal up to the rounding of a few operations. */
function expectClose(actual: number, expected: number) {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-14 * Math.max(1e-300, Math.abs(expected)))
}

const valuesOf = (schedule: Schedule, last: number) =>
  Array.from({ length: last }, (_, index) => schedule.at(index + 1))

const stepCount = fc.integer({ min: 1, max: 500 })
const value = fc.double({ min: -10, max: 10, noNaN: true }).map((number) => number + 0) // no -0

/** From `from` towards `to` without ever turning back; rounding may move a value by its last digit. */
function expectMonotone(values: readonly number[], from: number, to: number) {
  const sign = Math.sign(to - from)
  const slack = 1e-15 * Math.max(Math.abs(from), Math.abs(to)) + 4 * Number.MIN_VALUE
  const turns = values.findIndex((value, index) => index > 0 && sign * (value - values[index - 1]!) < -slack)
  expect(turns, 'index of the first value that turns back').toBe(-1)
  const outside = values.findIndex((value) => !(value >= Math.min(from, to) && value <= Math.max(from, to)))
  expect(outside, 'index of the first value outside the two ends').toBe(-1)
}

describe('constant', () => {
  it('is the same at every step', () => {
    expect(valuesOf(constant(0.3), 3)).toEqual([0.3, 0.3, 0.3])
    expect(constant(-2).at(1e9)).toBe(-2)
  })
})

describe.each([
  ['linear', linear, (progress: number) => 1 - progress],
  ['cosine', cosine, (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2],
  ['polynomial of power 1', (o: schedules.LinearArguments) => polynomial({ ...o, power: 1 }), (p: number) => 1 - p],
  [
    'polynomial of power 3',
    (o: schedules.LinearArguments) => polynomial({ ...o, power: 3 }),
    (p: number) => (1 - p) ** 3,
  ],
  [
    'polynomial of power 0.5',
    (o: schedules.LinearArguments) => polynomial({ ...o, power: 0.5 }),
    (p: number) => (1 - p) ** 0.5,
  ],
  ['rex', rex, (p: number) => (1 - p) / (1 / 2 + (1 - p) / 2)],
  ['k-decay', (o: schedules.LinearArguments) => kDecay({ ...o, k: 1.5 }), (p: number) => 1 - p ** 1.5],
  [
    'k-decay of a polynomial of power 2',
    (o: schedules.LinearArguments) => kDecay({ ...o, k: 1.5, power: 2 }),
    (p: number) => (1 - p ** 1.5) ** 2,
  ],
  [
    'k-decay of a cosine',
    (o: schedules.LinearArguments) => kDecay({ ...o, k: 0.5, shape: 'cosine' }),
    (p: number) => (1 + Math.cos(Math.PI * Math.sqrt(p))) / 2,
  ],
] as const)('%s', (_, make, left) => {
  it('follows its formula', () => {
    const schedule = make({ from: 3, to: 1, steps: 8 })
    for (let step = 1; step < 8; step++) expectClose(schedule.at(step), 1 + 2 * left(step / 8))
  })

  it('is one step on at step 1, at the end at the last step, and stays there', () => {
    fc.assert(
      fc.property(value, value, stepCount, (from, to, steps) => {
        const schedule = make({ from, to, steps })
        expect(schedule.start).toBe(from)
        expect(schedule.at(0)).toBe(from)
        expect(schedule.at(steps)).toBe(to)
        expect(schedule.at(steps + 1)).toBe(to)
        expect(schedule.at(steps * 1000)).toBe(to)
        expectMonotone(valuesOf(schedule, steps), from, to)
        if (steps > 1 && Math.abs(from - to) > 1e-3) {
          expect(schedule.at(1)).not.toBe(from)
          expect(schedule.at(1)).not.toBe(to)
        }
      }),
    )
  })

  it('up and down add up to 1, also next to the ends', () => {
    const steps = 1_000_000
    const down = make({ from: 1, to: 0, steps })
    const up = make({ from: 0, to: 1, steps })
    for (const step of [1, 1000, steps - 1000, steps - 1]) {
      expect(down.at(step) + up.at(step)).toBeCloseTo(1, 14)
      expect(down.at(step)).toBeGreaterThan(0)
      expect(up.at(step)).toBeGreaterThan(0)
    }
  })
})

describe('linear', () => {
  it('from 0 gives exact shares of its end', () => {
    const schedule = linear({ from: 0, to: 3, steps: 7 })
    for (let step = 1; step <= 7; step++) expectClose(schedule.at(step), (3 * step) / 7)
  })

  it('of one step is at its end at once', () => {
    expect(valuesOf(linear({ from: 5, to: 2, steps: 1 }), 3)).toEqual([2, 2, 2])
  })
})

describe('cosine', () => {
  it('has the accurate value one step before its end', () => {
    // (1 + cos(π(1 − x)))/2 = sin²(πx/2)
    expectClose(cosine({ from: 1, to: 0, steps: 1024 }).at(1023), Math.sin(Math.PI / 2048) ** 2)
  })
})

describe('polynomial', () => {
  it('has the accurate value one step after its start', () => {
    const share = 1 / 1024
    expectClose(polynomial({ from: 0, to: 1, power: 2, steps: 1024 }).at(1), 2 * share - share ** 2)
  })
})

describe('exponential', () => {
  it('changes by the rate every so many steps', () => {
    const schedule = exponential({ from: 2, rate: 0.5, every: 10 })
    expect(schedule.at(10)).toBe(1)
    expect(schedule.at(20)).toBe(0.5)
    expectClose(schedule.at(1), 2 * 0.5 ** 0.1)
    expectClose(schedule.at(5), 2 * Math.SQRT1_2)
    expect(schedule.start).toBe(2)
    expect(exponential({ from: 1, rate: 2, every: 1 }).at(10)).toBe(1024)
  })

  it('moves in jumps with staircase', () => {
    const schedule = exponential({ from: 8, rate: 0.5, every: 3, staircase: true })
    expect(valuesOf(schedule, 10)).toEqual([8, 8, 8, 4, 4, 4, 2, 2, 2, 1])
    expect(schedule.at(0)).toBe(8)
  })

  it('never turns back', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        stepCount,
        fc.boolean(),
        (rate, every, staircase) => {
          const values = valuesOf(exponential({ from: 1, rate, every, staircase }), 200)
          for (let index = 1; index < 200; index++) expect(values[index]!).toBeLessThanOrEqual(values[index - 1]!)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('stepwise', () => {
  it('multiplies after each boundary, in any order of writing', () => {
    const schedule = stepwise({ from: 16, boundaries: { 4: 0.25, 2: 0.5 } })
    expect(valuesOf(schedule, 7)).toEqual([16, 16, 8, 8, 2, 2, 2])
    expect(schedule.at(1e9)).toBe(2)
    expect(valuesOf(stepwise({ from: 3, boundaries: {} }), 2)).toEqual([3, 3])
  })

  it('equals the staircase and the join of numbers that say the same', () => {
    const steps = stepwise({ from: 1, boundaries: { 30: 0.1, 60: 0.1 } })
    const stairs = exponential({ from: 1, rate: 0.1, every: 30, staircase: true })
    const joined = join([{ schedule: 1, steps: 30 }, { schedule: 0.1, steps: 30 }, 0.01])
    for (let step = 1; step <= 90; step++) {
      expectClose(steps.at(step), joined.at(step))
      expectClose(stairs.at(step), joined.at(step))
    }
  })
})

describe('oneCycle', () => {
  it('climbs to the peak and falls far below its start', () => {
    const schedule = oneCycle({ peak: 1, steps: 100 })
    expect(schedule.start).toBe(1 / 25)
    expectClose(schedule.at(1), 0.04 + (0.96 * (1 - Math.cos(Math.PI / 30))) / 2)
    expectClose(schedule.at(15), 0.52)
    expect(schedule.at(30)).toBe(1)
    expectClose(schedule.at(65), (1 + 1 / 25e4) / 2)
    expect(schedule.at(100)).toBe(1 / 25 / 1e4)
    expect(schedule.at(101)).toBe(1 / 25 / 1e4)
  })

  it('has its peak and its end at whole steps, for any length', () => {
    const fraction = fc.double({ min: 0, max: 0.999, noNaN: true })
    fc.assert(
      fc.property(stepCount, fraction, (steps, warmupFraction) => {
        const schedule = oneCycle({ peak: 2, steps, warmupFraction, divide: 4, finalDivide: 8 })
        const climb = Math.min(Math.round(warmupFraction * steps), steps - 1)
        if (climb > 0) expect(schedule.at(climb)).toBe(2)
        expect(schedule.at(steps)).toBe(2 / 32)
        expectMonotone(valuesOf(schedule, climb), 0.5, 2)
        expectMonotone(valuesOf(schedule, steps).slice(climb), 2, 2 / 32)
      }),
    )
  })

  it('without a climb starts from the peak', () => {
    const schedule = oneCycle({ peak: 2, steps: 10, warmupFraction: 0 })
    expect(schedule.start).toBe(2)
    expect(schedule.at(1)).toBeLessThan(2)
    expect(schedule.at(1)).toBeGreaterThan(1.9)
    expect(oneCycle({ peak: 1, steps: 1 }).at(1)).toBe(1 / 25 / 1e4)
  })
})

describe('warmup', () => {
  it('gives peak/W first, never 0, and the peak at step W', () => {
    fc.assert(
      fc.property(stepCount, fc.double({ min: 1e-6, max: 10, noNaN: true }), (steps, peak) => {
        const schedule = warmup({ steps }, peak)
        expectClose(schedule.at(1), peak / steps)
        expect(schedule.at(steps)).toBe(peak)
        expect(schedule.at(steps + 1)).toBe(peak)
        expectMonotone(valuesOf(schedule, steps + 2), 0, peak)
      }),
    )
  })

  it('climbs or falls from another value', () => {
    expect(valuesOf(warmup({ steps: 4, from: 1 }, 3), 5)).toEqual([1.5, 2, 2.5, 3, 3])
    expect(valuesOf(warmup({ steps: 2, from: 1 }, 0), 3)).toEqual([0.5, 0, 0])
  })

  it('of 0 steps is none', () => {
    const decay = cosine({ from: 1, to: 0, steps: 10 })
    const schedule = warmup({ steps: 0 }, decay)
    expect(valuesOf(schedule, 12)).toEqual(valuesOf(decay, 12))
    expect(schedule.start).toBe(1)
    expect(schedule.at(0)).toBe(1)
  })

  it('meets what follows without a jump', () => {
    const followers = [
      linear({ from: 1, to: 0, steps: 1000 }),
      cosine({ from: 1, to: 0, steps: 1000 }),
      polynomial({ from: 1, to: 0, steps: 1000, power: 2 }),
      exponential({ from: 1, rate: 0.9, every: 100 }),
      warmupStableDecay({ peak: 1, warmup: 0, stable: 10, decay: 1000 }),
    ]
    for (const follower of followers) {
      const schedule = warmup({ steps: 1000 }, follower)
      expect(schedule.at(1000)).toBe(1)
      expect(schedule.at(1001)).toBe(follower.at(1))
      const values = valuesOf(schedule, 2000)
      for (let index = 1; index < values.length; index++) {
        expect(Math.abs(values[index]! - values[index - 1]!)).toBeLessThan(0.0021)
      }
    }
  })

  it('equals the join of a line and what follows', () => {
    const decay = cosine({ from: 2, to: 0.5, steps: 7 })
    const joined = join([{ schedule: linear({ from: 0, to: 2, steps: 5 }), steps: 5 }, decay])
    expect(valuesOf(warmup({ steps: 5 }, decay), 15)).toEqual(valuesOf(joined, 15))
  })

  it('climbs to the first value of a function or of a schedule without a start, and never asks for step 0', () => {
    const asked: number[] = []
    const rootDecay = (step: number) => {
      asked.push(step)
      return 1 / Math.sqrt(step)
    }
    for (const then of [rootDecay, { kind: 'root', at: rootDecay }]) {
      const schedule = warmup({ steps: 2 }, then)
      expect(valuesOf(schedule, 6)).toEqual([0.5, 1, 1, 1 / Math.sqrt(2), 1 / Math.sqrt(3), 0.5])
    }
    expect(Math.min(...asked)).toBe(1)
  })
})

describe('warmupCosine', () => {
  it('is a warm-up and a cosine in one', () => {
    const short = warmupCosine({ peak: 0.4, warmup: 10, steps: 50, final: 0.1 })
    const long = warmup({ steps: 10 }, cosine({ from: 0.4, to: 0.1, steps: 40 }))
    expect(valuesOf(short, 60)).toEqual(valuesOf(long, 60))
    expect(short.kind).toBe('warmupCosine')
    expect(short.start).toBe(0)
    expect(warmupCosine({ peak: 1, warmup: 0, steps: 10 }).at(10)).toBe(0)
    expect(warmupCosine({ peak: 1, warmup: 0, steps: 10 }).start).toBe(1)
  })
})

describe('warmupStableDecay', () => {
  it('has its corners at whole steps', () => {
    const schedule = warmupStableDecay({ peak: 8, warmup: 4, stable: 3, decay: 4 })
    expect(valuesOf(schedule, 13)).toEqual([2, 4, 6, 8, 8, 8, 8, 6, 4, 2, 0, 0, 0])
  })

  it('has three shapes of decay', () => {
    const at = (shape: schedules.DecayShape, step: number) =>
      warmupStableDecay({ peak: 3, warmup: 0, stable: 2, decay: 8, final: 1, shape }).at(step)
    expectClose(at('linear', 4), 1 + 2 * 0.75)
    expectClose(at('cosine', 4), 1 + (2 * (1 + Math.SQRT1_2)) / 2)
    expectClose(at('one-minus-sqrt', 4), 1 + 2 * (1 - 0.5))
    for (const shape of ['linear', 'cosine', 'one-minus-sqrt'] as const) {
      expect(at(shape, 2)).toBe(3)
      expect(at(shape, 10)).toBe(1)
      expect(at(shape, 11)).toBe(1)
    }
  })

  it('rises, stays and falls, for any lengths', () => {
    const length = fc.nat(50)
    const shape = fc.constantFrom('linear' as const, 'cosine' as const, 'one-minus-sqrt' as const)
    fc.assert(
      fc.property(length, length, length, shape, (warmup, stable, decay, shape) => {
        const schedule = warmupStableDecay({ peak: 1, warmup, stable, decay, from: 0.5, final: 0.25, shape })
        const values = valuesOf(schedule, warmup + stable + decay + 2)
        expectMonotone(values.slice(0, warmup), 0.5, 1)
        if (warmup > 0) expect(schedule.at(warmup)).toBe(1)
        for (const value of values.slice(warmup, warmup + stable)) expect(value).toBe(1)
        expectMonotone(values.slice(warmup + stable), 1, 0.25)
        expect(schedule.at(warmup + stable + decay + 1)).toBe(0.25)
        if (decay > 0) expect(schedule.at(warmup + stable + decay)).toBe(0.25)
      }),
    )
  })

  it('starts from where its first part starts', () => {
    const start = (warmup: number, stable: number, decay: number) =>
      warmupStableDecay({ peak: 1, warmup, stable, decay, from: 0.5, final: 0.25 }).start
    expect(start(1, 1, 1)).toBe(0.5)
    expect(start(0, 1, 1)).toBe(1)
    expect(start(0, 0, 1)).toBe(1)
    expect(start(0, 0, 0)).toBe(0.25)
  })
})

describe('join', () => {
  it('lets every part count its own steps from 1', () => {
    const seen: string[] = []
    const spy = (name: string) => (step: number) => {
      seen.push(`${name}${step}`)
      return step
    }
    const schedule = join([{ schedule: spy('a'), steps: 2 }, { schedule: spy('b'), steps: 3 }, spy('c')])
    seen.length = 0 // making it may ask for the first value
    expect(valuesOf(schedule, 8)).toEqual([1, 2, 1, 2, 3, 1, 2, 3])
    expect(seen).toEqual(['a1', 'a2', 'b1', 'b2', 'b3', 'c1', 'c2', 'c3'])
  })

  it('leaves out parts of 0 steps and may have only the last', () => {
    const schedule = join([{ schedule: 9, steps: 0 }, { schedule: 1, steps: 1 }, { schedule: 8, steps: 0 }, 2])
    expect(valuesOf(schedule, 3)).toEqual([1, 2, 2])
    expect(schedule.start).toBe(1)
    expect(valuesOf(join([linear({ from: 1, to: 0, steps: 2 })]), 3)).toEqual([0.5, 0, 0])
  })

  it('nests: joins and warm-ups in joins', () => {
    const cycle = join([{ schedule: warmup({ steps: 2 }, 4), steps: 3 }, linear({ from: 4, to: 0, steps: 2 })])
    const schedule = join([{ schedule: cycle, steps: 5 }, { schedule: cycle, steps: 5 }, warmup({ steps: 2 }, cycle)])
    expect(valuesOf(schedule, 10)).toEqual([2, 4, 4, 2, 0, 2, 4, 4, 2, 0])
    expect(schedule.start).toBe(0)
    // The last warm-up climbs to the start of the cycle, which is 0.
    expect([11, 12, 13, 14].map((step) => schedule.at(step))).toEqual([0, 0, 2, 4])
  })

  it('is associative', () => {
    const ramp = linear({ from: 0, to: 1, steps: 10 })
    fc.assert(
      fc.property(fc.nat(20), fc.nat(20), (first, second) => {
        const flat = join([{ schedule: ramp, steps: first }, { schedule: ramp, steps: second }, ramp])
        const right = join([{ schedule: ramp, steps: first }, join([{ schedule: ramp, steps: second }, ramp])])
        const left = join([{ schedule: join([{ schedule: ramp, steps: first }, ramp]), steps: first + second }, ramp])
        expect(valuesOf(right, 50)).toEqual(valuesOf(flat, 50))
        expect(valuesOf(left, 50)).toEqual(valuesOf(flat, 50))
      }),
      { numRuns: 50 },
    )
  })
})

describe('k-decay with k 1', () => {
  it('is the curve itself', () => {
    const ends = { from: 3, to: 1, steps: 8 }
    expect(valuesOf(kDecay({ ...ends, k: 1, shape: 'cosine' }), 9)).toEqual(valuesOf(cosine(ends), 9))
    expect(valuesOf(kDecay({ ...ends, k: 1, power: 2 }), 9)).toEqual(valuesOf(polynomial({ ...ends, power: 2 }), 9))
  })
})

describe('chebyshev', () => {
  const [smallestCurvature, largestCurvature] = [0.05, 2]

  it('has the fractal order, which begins with the longest step', () => {
    const values = valuesOf(chebyshev({ smallestCurvature, largestCurvature, steps: 8 }), 8)
    const ranks = [...values].sort((a, b) => b - a)
    expect(values.map((value) => ranks.indexOf(value) + 1)).toEqual([1, 8, 4, 5, 2, 7, 3, 6])
    expect(Math.max(...values)).toBeLessThan(1 / smallestCurvature)
    expect(Math.min(...values)).toBeGreaterThan(1 / largestCurvature)
  })

  it('repeats its cycle', () => {
    const schedule = chebyshev({ smallestCurvature, largestCurvature, steps: 16 })
    expect(valuesOf(schedule, 48).slice(16)).toEqual([...valuesOf(schedule, 16), ...valuesOf(schedule, 16)])
    expect(schedule.start).toBe(schedule.at(1))
  })

  it.each([1, 2, 16, 64])('over %i steps reduces every curvature as much as the Chebyshev polynomial', (steps) => {
    const schedule = chebyshev({ smallestCurvature, largestCurvature, steps })
    const left = (curvature: number) =>
      valuesOf(schedule, steps).reduce((rest, rate) => rest * (1 - rate * curvature), 1)
    const ratio = (largestCurvature + smallestCurvature) / (largestCurvature - smallestCurvature)
    const bound = 1 / Math.cosh(steps * Math.acosh(ratio))
    expect(Math.abs(left(smallestCurvature)) / bound).toBeCloseTo(1, 10)
    expect(Math.abs(left(largestCurvature)) / bound).toBeCloseTo(1, 10)
    for (let share = 0; share <= 1; share += 1 / 64) {
      const curvature = smallestCurvature + share * (largestCurvature - smallestCurvature)
      expect(Math.abs(left(curvature))).toBeLessThanOrEqual(bound * (1 + 1e-9))
    }
  })

  it('never lets an error grow far on the way, as steps in order of length would', () => {
    const steps = 64
    const values = valuesOf(chebyshev({ smallestCurvature, largestCurvature, steps }), steps)
    const largest = (rates: readonly number[]) => {
      let rest = 1
      const errors = rates.map((rate) => {
        rest *= 1 - rate * largestCurvature
        return Math.abs(rest)
      })
      return Math.max(...errors)
    }
    expect(largest([...values].sort((a, b) => b - a))).toBeGreaterThan(1e12)
    expect(largest(values)).toBeLessThan(1e3)
  })

  it('is 1/curvature where all curvatures are equal', () => {
    expect(valuesOf(chebyshev({ smallestCurvature: 4, largestCurvature: 4, steps: 4 }), 4)).toEqual(
      [1, 1, 1, 1].map(() => 0.25),
    )
  })
})

describe('proportion', () => {
  it('is the straight line through two points', () => {
    const rate = warmup({ steps: 4 }, cosine({ from: 1e-3, to: 1e-5, steps: 20 }))
    const radius = proportion({
      schedule: rate,
      scheduleMinimum: 1e-5,
      scheduleMaximum: 1e-3,
      minimum: 0.04,
      maximum: 0.6,
    })
    expectClose(radius.at(4), 0.6)
    expectClose(radius.at(24), 0.04)
    for (let step = 1; step <= 24; step++) {
      expect(radius.at(step)).toBeCloseTo(0.04 + 0.56 * ((rate.at(step) - 1e-5) / 9.9e-4), 14)
    }
    expect(radius.start).toBe(0.04 - (0.56 * 1e-5) / 9.9e-4)
  })

  it('follows numbers and functions, also downwards and beyond its points', () => {
    const falling = proportion({ schedule: (step) => step, scheduleMaximum: 4, minimum: 1, maximum: 0 })
    expect(valuesOf(falling, 6)).toEqual([0.75, 0.5, 0.25, 0, -0.25, -0.5])
    expect(proportion({ schedule: 3, scheduleMaximum: 4, minimum: 0, maximum: 8 }).at(1)).toBe(6)
  })
})

describe('cyclic', () => {
  it('keeps, halves or shrinks the height', () => {
    const ends = { low: 1, high: 5, up: 2 }
    expect(valuesOf(cyclic(ends), 9)).toEqual([3, 5, 3, 1, 3, 5, 3, 1, 3])
    expect(valuesOf(cyclic({ ...ends, shape: 'triangular2' }), 9)).toEqual([3, 5, 3, 1, 2, 3, 2, 1, 1.5])
    expect(valuesOf(cyclic({ ...ends, shape: 'exp-range', decay: 0.5 }), 6)).toEqual([2, 2, 1.25, 1, 1.0625, 1.0625])
    expect(valuesOf(cyclic({ low: 0, high: 3, up: 1, down: 3 }), 6)).toEqual([3, 2, 1, 0, 3, 2])
    expect(cyclic(ends).start).toBe(1)
    expect(cyclic(ends).at(0)).toBe(1)
  })

  it('follows the formula of the paper', () => {
    const decay = 0.99
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), stepCount, (up, step) => {
        const cycle = Math.floor(1 + step / (2 * up))
        const height = Math.max(0, 1 - Math.abs(step / up - 2 * cycle + 1))
        const at = (shape: schedules.CycleShape) => cyclic({ low: 0.5, high: 3, up, shape, decay }).at(step)
        expect(at('triangular')).toBeCloseTo(0.5 + 2.5 * height, 12)
        expect(at('triangular2')).toBeCloseTo(0.5 + (2.5 * height) / 2 ** (cycle - 1), 12)
        expect(at('exp-range')).toBeCloseTo(0.5 + 2.5 * height * decay ** step, 12)
      }),
    )
  })
})

describe('cosineRestarts', () => {
  it('is one cosine after the other', () => {
    const schedule = cosineRestarts({ peak: 4, final: 1, period: 5, multiplier: 2, peakFactor: 0.75 })
    const parts = [
      { schedule: cosine({ from: 4, to: 1, steps: 5 }), steps: 5 },
      { schedule: cosine({ from: 3, to: 1, steps: 10 }), steps: 10 },
      { schedule: cosine({ from: 2.25, to: 1, steps: 20 }), steps: 20 },
    ] as const
    expect(valuesOf(schedule, 35)).toEqual(valuesOf(join([...parts, 0]), 35))
    expect(schedule.start).toBe(4)
    expect(schedule.at(0)).toBe(4)
  })

  it('repeats with a multiplier of 1, however far', () => {
    const schedule = cosineRestarts({ peak: 1, period: 4 })
    const cycle = valuesOf(cosine({ from: 1, to: 0, steps: 4 }), 4)
    expect(valuesOf(schedule, 12)).toEqual([...cycle, ...cycle, ...cycle])
    expect(schedule.at(4e9)).toBe(0)
    expect(schedule.at(4e9 + 2)).toBe(cycle[1])
  })

  it('rounds the lengths of its cycles', () => {
    const schedule = cosineRestarts({ peak: 1, period: 3, multiplier: 1.5 })
    const ends = valuesOf(schedule, 40).flatMap((value, index) => (value === 0 ? [index + 1] : []))
    expect(ends).toEqual([3, 3 + 5, 3 + 5 + 7, 3 + 5 + 7 + 10, 3 + 5 + 7 + 10 + 15])
  })
})

describe('inverseSquareRoot', () => {
  it('is the schedule of the Transformer', () => {
    const [width, warm] = [512, 4000]
    const schedule = inverseSquareRoot({ peak: (width * warm) ** -0.5, warmup: warm })
    for (const step of [1, 100, 3999, 4000, 4001, 100_000]) {
      expect(schedule.at(step) / (width ** -0.5 * Math.min(step ** -0.5, step * warm ** -1.5))).toBeCloseTo(1, 12)
    }
    expect(schedule.start).toBe(0)
    expect(schedule.at(0)).toBe(0)
    expect(valuesOf(inverseSquareRoot({ peak: 6, warmup: 1 }), 4)).toEqual([
      6,
      6 * Math.SQRT1_2,
      6 * Math.sqrt(1 / 3),
      3,
    ])
  })
})

describe('convexOptimal', () => {
  it('is a straight line of known height that ends after the run', () => {
    const schedule = convexOptimal({ distance: 3, gradientNorm: 2, steps: 8 })
    for (let step = 1; step <= 8; step++) expectClose(schedule.at(step), (3 * (9 - step)) / (2 * 27))
    expect(schedule.start).toBe(0.5)
    expect(schedule.at(9)).toBe(0)
    expect(schedule.at(1e6)).toBe(0)
    // Four times the length, half the height.
    const height = (steps: number) => convexOptimal({ distance: 1, gradientNorm: 1, steps }).start!
    expectClose(height(4 * 25 - 1) / height(24), 0.5)
  })

  it('keeps its promise on piecewise linear functions', () => {
    const angle = fc.double({ min: 0, max: Math.PI, noNaN: true })
    const slope = fc.double({ min: 0.1, max: 2, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(angle, slope), { minLength: 1, maxLength: 6 }),
        stepCount,
        angle,
        (planes, steps, way) => {
          const normals = planes.map(([turn, size]) => [size * Math.cos(turn), size * Math.sin(turn)] as const)
          const heights = (x: number, y: number) => normals.map(([a, b]) => a * x + b * y)
          const value = (x: number, y: number) => Math.max(...heights(x, y).map(Math.abs))
          const schedule = convexOptimal({ distance: 3, gradientNorm: 2, steps })
          let [x, y] = [3 * Math.cos(way), 3 * Math.sin(way)]
          for (let step = 1; step <= steps; step++) {
            const all = heights(x, y)
            const steepest = all.reduce(
              (best, height, index) => (Math.abs(height) > Math.abs(all[best]!) ? index : best),
              0,
            )
            const rate = schedule.at(step) * Math.sign(all[steepest]!)
            x -= rate * normals[steepest]![0]
            y -= rate * normals[steepest]![1]
          }
          expect(value(x, y)).toBeLessThanOrEqual((2 * 3) / Math.sqrt(steps + 1) + 1e-12)
        },
      ),
    )
  })
})

describe('refined', () => {
  it('of constant norms is linear decay', () => {
    const schedule = refined({ gradientNorms: new Float32Array(21).fill(7), peak: 2 })
    for (let step = 1; step <= 21; step++) expectClose(schedule.at(step), 2 * (1 - (step - 1) / 20))
    expect(schedule.at(22)).toBe(0)
    expect(schedule.start).toBe(2)
  })

  /** As in the authors' code: padded arrays, a median, and sums of what follows. */
  function restated(norms: readonly number[], smoothing: number, power: number): number[] {
    const width = 2 * Math.floor(Math.floor(smoothing * norms.length) / 2) + 1
    const reach = (width - 1) / 2
    const mirror = norms.slice(0, -1).reverse()
    const padded = [...new Array<number>(reach).fill(norms[0]!), ...norms, ...mirror.slice(0, reach)]
    const smooth = norms.map((_, index) => padded.slice(index, index + width).sort((a, b) => a - b)[reach]!)
    const weights = smooth.map((norm) => norm ** -power)
    const rates = weights.map((weight, index) => weight * weights.slice(index + 1).reduce((sum, next) => sum + next, 0))
    return rates.map((rate) => rate / Math.max(...rates))
  }

  it.each([
    ['l2', 2],
    ['l1', 1],
  ] as const)('follows the code of its authors with the %s norm', (norm, power) => {
    const positive = fc.double({ min: 0.01, max: 100, noNaN: true })
    const smoothing = fc.double({ min: 0, max: 0.9, noNaN: true })
    fc.assert(
      fc.property(fc.array(positive, { minLength: 2, maxLength: 60 }), smoothing, (gradientNorms, smoothing) => {
        const found = valuesOf(refined({ gradientNorms, peak: 1, norm, smoothing }), gradientNorms.length)
        const expected = restated(gradientNorms, smoothing, power)
        for (const [index, value] of found.entries()) expect(value).toBeCloseTo(expected[index]!, 12)
      }),
    )
  })

  it('warms up where the first gradients were large', () => {
    const gradientNorms = Array.from({ length: 100 }, (_, index) => 1 + 9 * Math.max(0, 1 - index / 20))
    const values = valuesOf(refined({ gradientNorms, peak: 1 }), 100)
    expect(values[0]).toBeLessThan(0.05)
    const top = values.indexOf(1)
    expect(top).toBeGreaterThan(10)
    expect(top).toBeLessThan(30)
    expectMonotone(values.slice(0, top), 0, 1)
    expectMonotone(values.slice(top), 1, 0)
  })

  it('is stretched over a longer run and does not depend on the scale of the norms', () => {
    const gradientNorms = [3, 2, 1, 1, 2]
    const short = refined({ gradientNorms, peak: 1, smoothing: 0 })
    const long = refined({ gradientNorms, peak: 1, smoothing: 0, steps: 9 })
    for (let step = 1; step <= 5; step++) expectClose(long.at(2 * step - 1), short.at(step))
    expectClose(long.at(2), (short.at(1) + short.at(2)) / 2)
    const scaled = refined({ gradientNorms: gradientNorms.map((norm) => norm * 1e200), peak: 1, smoothing: 0 })
    for (let step = 1; step <= 5; step++) expectClose(scaled.at(step), short.at(step))
  })
})

describe('reduceOnPlateau', () => {
  /** The value after each report. */
  const after = (options: schedules.ReduceOnPlateauArguments, metrics: readonly number[]) => {
    const schedule = reduceOnPlateau(options)
    return metrics.map((metric, index) => {
      schedule.report(metric)
      return schedule.at(index + 1)
    })
  }

  it('waits, reduces, and waits again', () => {
    expect(after({ from: 8, factor: 0.5, patience: 2 }, [5, 5, 5, 5, 5, 5, 5, 4, 4, 4, 4])).toEqual([
      8, 8, 8, 4, 4, 4, 2, 2, 2, 2, 1,
    ])
    expect(after({ from: 8, factor: 0.5, patience: 0 }, [5, 6, 4, 4])).toEqual([8, 4, 4, 2])
  })

  it('counts nothing while it cools down, but remembers better metrics', () => {
    const options = { from: 8, factor: 0.5, patience: 0, cooldown: 2 }
    expect(after(options, [5, 5, 5, 5, 5, 5])).toEqual([8, 4, 4, 4, 2, 2])
    expect(after(options, [5, 5, 3, 4, 4])).toEqual([8, 4, 4, 4, 2])
  })

  it('asks for an improvement by the threshold, of negative metrics too', () => {
    const relative = { from: 1, factor: 0.5, patience: 0, threshold: 0.1 }
    expect(after(relative, [10, 9.5, 8.9])).toEqual([1, 0.5, 0.5])
    expect(after(relative, [-10, -10.5, -11.1])).toEqual([1, 0.5, 0.5])
    expect(after({ ...relative, direction: 'maximize' }, [10, 10.5, 11.1])).toEqual([1, 0.5, 0.5])
    expect(after({ ...relative, direction: 'maximize' }, [-10, -9.5, -8.9])).toEqual([1, 0.5, 0.5])
    const absolute = { ...relative, thresholdMode: 'absolute' as const }
    expect(after(absolute, [0, -0.05, -0.15])).toEqual([1, 0.5, 0.5])
    expect(after({ ...absolute, direction: 'maximize' }, [0, 0.05, 0.15])).toEqual([1, 0.5, 0.5])
  })

  it('does not go below its minimum, nor up to it', () => {
    expect(after({ from: 1, factor: 0.1, patience: 0, minimum: 0.05 }, [1, 1, 1, 1])).toEqual([1, 0.1, 0.05, 0.05])
    expect(after({ from: 1, factor: 0.1, patience: 0, minimum: 2 }, [1, 1])).toEqual([1, 1])
  })

  it('continues from what it saved, through JSON', () => {
    const metrics = [5, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3]
    const options = { from: 8, factor: 0.5, patience: 1, cooldown: 1 }
    for (let cut = 0; cut <= metrics.length; cut++) {
      const first = reduceOnPlateau(options)
      for (const metric of metrics.slice(0, cut)) first.report(metric)
      const second = reduceOnPlateau(options, JSON.parse(JSON.stringify(first.save())))
      const values = metrics.slice(cut).map((metric) => {
        second.report(metric)
        return second.at(1)
      })
      expect(values).toEqual(after(options, metrics).slice(cut))
    }
  })

  it('is a schedule like others', () => {
    const schedule = reduceOnPlateau({ from: 8, factor: 0.5, patience: 0 })
    const warmed = warmup({ steps: 4 }, schedule)
    expect(isSchedule(schedule)).toBe(true)
    expect(schedule.start).toBe(8)
    for (const metric of [1, 1]) schedule.report(metric)
    expect(valuesOf(warmed, 5)).toEqual([2, 4, 6, 8, 4])
  })

  it('leaves everything as it was when a report or a state is wrong', () => {
    const schedule = reduceOnPlateau({ from: 8, patience: 0 })
    schedule.report(1)
    const before = schedule.save()
    expect(() => schedule.report(Number.NaN)).toThrow(
      'reduceOnPlateau: the reported value is NaN; expected a finite number.',
    )
    expect(() => reduceOnPlateau({ from: 8 }, { ...before, waited: -1 })).toThrow(
      'reduceOnPlateau: the saved state: waited is -1; expected a whole number of steps, 0 or more.',
    )
    expect(() => reduceOnPlateau({ from: 8 }, [] as never)).toThrow(
      'reduceOnPlateau: the saved state: got an array of 0;',
    )
    expect(schedule.save()).toEqual(before)
  })
})

describe('gradientNormWarmup', () => {
  it('gives a share of the value as large as the averaged norm allows, and never less than before', () => {
    const schedule = gradientNormWarmup({ threshold: 2, beta: 0.75 }, 1)
    let average = 0
    let share = 0
    for (const [index, norm] of [10, 8, 20, 4, 3, 1, 0.5, 50, 0.1].entries()) {
      schedule.report(norm)
      average = 0.75 * average + 0.25 * norm
      share = Math.max(share, Math.min(1, 2 / (average / (1 - 0.75 ** (index + 1)))))
      expectClose(schedule.at(index + 1), share)
    }
    expect(share).toBeGreaterThan(0.4)
  })

  it('is over at the threshold, and stays over', () => {
    const schedule = gradientNormWarmup({ threshold: 2, beta: 0 }, (step) => 10 * step)
    schedule.report(8)
    expect(schedule.at(3)).toBe(7.5)
    schedule.report(0)
    expect(schedule.at(4)).toBe(40)
    schedule.report(1e9)
    expect(schedule.at(5)).toBe(50)
  })

  it('stands still at the first step and says so at the second when nothing is reported', () => {
    const schedule = gradientNormWarmup({ threshold: 2 }, 1)
    expect(schedule.start).toBe(0)
    expect(schedule.at(1)).toBe(0)
    expect(() => schedule.at(2)).toThrow('gradientNormWarmup: no gradient norm was reported before step 2; call report')
  })

  it('continues from what it saved and refuses what makes no sense', () => {
    const first = gradientNormWarmup({ threshold: 2 }, 1)
    for (const norm of [10, 9]) first.report(norm)
    const second = gradientNormWarmup({ threshold: 2 }, 1, JSON.parse(JSON.stringify(first.save())))
    for (const schedule of [first, second]) schedule.report(3)
    expect(second.save()).toEqual(first.save())
    expect(() => second.report(-1)).toThrow(
      'gradientNormWarmup: the reported value is -1; expected a finite number, 0 or',
    )
    expect(() => gradientNormWarmup({ threshold: 2 }, 1, { ...first.save(), share: 2 })).toThrow(
      'the saved state: share is 2; expected a number from 0',
    )
    expect(second.save()).toEqual(first.save())
  })
})

describe('evaluateSchedule', () => {
  it('takes numbers, schedules and functions', () => {
    expect(evaluateSchedule(0.5, 3)).toBe(0.5)
    expect(evaluateSchedule(linear({ from: 0, to: 1, steps: 4 }), 3)).toBe(0.75)
    expect(evaluateSchedule((step) => step * 2, 3)).toBe(6)
    const counted = {
      kind: 'counted',
      factor: 5,
      at(step: number) {
        return this.factor * step
      },
    }
    expect(evaluateSchedule(counted, 3)).toBe(15)
  })

  it.each<[HyperValue, string]>([
    [Number.NaN, 'The value gave NaN at step 7; it must give a finite number.'],
    [{ kind: 'mine', at: () => Number.POSITIVE_INFINITY }, 'Schedule "mine" gave Infinity at step 7;'],
    [{ kind: 'mine', at: () => '1' as never }, 'Schedule "mine" gave "1" at step 7;'],
    [
      function decay() {
        return undefined as never
      },
      'Schedule function "decay" gave undefined at step 7;',
    ],
    [
      (
        () => () =>
          null as never
      )(),
      'Schedule function without a name gave null at step 7;',
    ],
    [exponential({ from: 1e300, rate: 1e10, every: 1 }), 'Schedule "exponential" gave Infinity at step 7;'],
    [null as never, 'Expected a number, a schedule or a function of the step, got null.'],
    ['0.1' as never, 'Expected a number, a schedule or a function of the step, got "0.1".'],
    [{ at: () => 1 } as never, 'Expected a number, a schedule or a function of the step, got an object.'],
    [[1] as never, 'Expected a number, a schedule or a function of the step, got an array of 1.'],
  ])('names schedule and step of a wrong value %#', (value, message) => {
    expect(() => evaluateSchedule(value, 7)).toThrow(message)
  })

  it('names the inner schedule and its own step', () => {
    const bad: Schedule = { kind: 'bad', start: 1, at: (step) => (step < 3 ? 1 : Number.NaN) }
    expect(() => warmup({ steps: 10 }, bad).at(13)).toThrow('Schedule "bad" gave NaN at step 3')
    expect(() => join([{ schedule: 1, steps: 5 }, bad]).at(8)).toThrow('Schedule "bad" gave NaN at step 3')
    expect(() => warmup({ steps: 10 }, () => Number.NaN)).toThrow('gave NaN at step 1')
    expect(() => warmup({ steps: 10 }, { ...bad, start: Number.NaN })).toThrow('Schedule "bad" has start NaN')
  })
})

describe('what a schedule was made of', () => {
  const told = reduceOnPlateau({ from: 1, patience: 0 })
  const norms = gradientNormWarmup({ threshold: 1 }, 3)
  for (const value of [4, 4, 4]) for (const schedule of [told, norms]) schedule.report(value)

  it.each([
    rex({ from: 1, to: 0, steps: 9 }),
    chebyshev({ smallestCurvature: 1, largestCurvature: 2, steps: 8 }),
    proportion({ schedule: 1, scheduleMaximum: 4, minimum: 2, maximum: 3 }),
    cyclic({ low: 1, high: 2, up: 3 }),
    cosineRestarts({ peak: 1, period: 3, multiplier: 2 }),
    inverseSquareRoot({ peak: 1, warmup: 3 }),
    kDecay({ from: 1, to: 0, steps: 9, k: 2 }),
    convexOptimal({ distance: 1, gradientNorm: 2, steps: 9 }),
    refined({ gradientNorms: new Float64Array([1, 2, 3, 1, 1]), peak: 1 }),
    told,
    norms,
  ])('makes $kind again, through JSON', (schedule) => {
    const make = Object.entries(schedules).find(([name]) => name === schedule.kind)![1]
    const again = (make as (...parts: unknown[]) => Schedule)(...JSON.parse(JSON.stringify(schedule.arguments)))
    expect(valuesOf(again, 12)).toEqual(valuesOf(schedule, 12))
  })
})

describe('isSchedule', () => {
  it('tells schedules from all else', () => {
    expect(isSchedule(constant(1))).toBe(true)
    expect(isSchedule({ kind: 'mine', at: () => 1 })).toBe(true)
    for (const other of [1, () => 1, null, undefined, {}, { kind: 'x' }, { at: () => 1 }, []]) {
      expect(isSchedule(other)).toBe(false)
    }
  })
})

describe('a wrong argument gives an error that names schedule, argument, value and what is right:', () => {
  const wrong = (value: unknown) => value as never
  const ramp = { from: 1, to: 0, steps: 10 }

  it.each<[() => unknown, string]>([
    [() => constant(Number.NaN), 'constant: value is NaN; expected a finite number.'],
    [() => constant(wrong('1')), 'constant: value is "1"; expected a finite number.'],
    [() => linear({ ...ramp, from: Number.NaN }), 'linear: from is NaN; expected a finite number.'],
    [() => linear({ ...ramp, to: Infinity }), 'linear: to is Infinity; expected a finite number.'],
    [() => linear({ ...ramp, steps: 0 }), 'linear: steps is 0; expected a whole number of steps, 1 or more.'],
    [() => linear({ ...ramp, steps: 1.5 }), 'linear: steps is 1.5; expected a whole number of steps, 1 or more.'],
    [() => linear(wrong({ from: 1, to: 0 })), 'linear: steps is missing; expected a whole number of steps'],
    [() => linear(wrong({ ...ramp, step: 3 })), 'linear: unknown argument "step"; it takes from, to, steps.'],
    [() => linear(wrong(undefined)), 'linear: got undefined; expected an object of named arguments.'],
    [() => linear(wrong([1, 0, 10])), 'linear: got an array of 3; expected an object of named arguments.'],
    [() => cosine({ ...ramp, steps: -1 }), 'cosine: steps is -1; expected'],
    [() => cosine(wrong({ ...ramp, from: () => 1 })), 'cosine: from is a function; expected a finite number.'],
    [() => polynomial({ ...ramp, power: 0 }), 'polynomial: power is 0; expected a finite number above 0.'],
    [() => polynomial(wrong(ramp)), 'polynomial: power is missing; expected'],
    [() => exponential({ from: 1, rate: -1, every: 1 }), 'exponential: rate is -1; expected a finite number above 0.'],
    [() => exponential({ from: 1, rate: 0.5, every: 0 }), 'exponential: every is 0; expected a whole number'],
    [
      () => exponential({ from: 1, rate: 0.5, every: 1, staircase: wrong(1) }),
      'exponential: staircase is 1; expected true or false.',
    ],
    [
      () => stepwise({ from: 1, boundaries: { 0: 1 } }),
      'stepwise: a key of boundaries is "0"; expected a whole number',
    ],
    [() => stepwise({ from: 1, boundaries: { 2.5: 1 } }), 'stepwise: a key of boundaries is "2.5"; expected'],
    [
      () => stepwise({ from: 1, boundaries: wrong({ '0x10': 1 }) }),
      'stepwise: a key of boundaries is "0x10"; expected',
    ],
    [
      () => stepwise({ from: 1, boundaries: { 5: Number.NaN } }),
      'stepwise: boundaries[5] is NaN; expected a finite number.',
    ],
    [() => stepwise({ from: 1, boundaries: wrong([5]) }), 'stepwise: boundaries is an array of 1; expected an object'],
    [() => oneCycle({ peak: 1, steps: 0 }), 'oneCycle: steps is 0; expected'],
    [
      () => oneCycle({ peak: 1, steps: 9, warmupFraction: 1 }),
      'oneCycle: warmupFraction is 1; expected a number from 0 up to but',
    ],
    [() => oneCycle({ peak: 1, steps: 9, divide: 0 }), 'oneCycle: divide is 0; expected a finite number above 0.'],
    [() => oneCycle({ peak: 1, steps: 9, finalDivide: -1 }), 'oneCycle: finalDivide is -1; expected'],
    [() => warmup({ steps: -1 }, 1), 'warmup: steps is -1; expected a whole number of steps, 0 or more.'],
    [() => warmup({ steps: 1, from: Number.NaN }, 1), 'warmup: from is NaN; expected a finite number.'],
    [
      () => warmup({ steps: 1 }, wrong(undefined)),
      'warmup: then is missing; expected a finite number, a schedule or a function',
    ],
    [() => warmup({ steps: 1 }, Number.NaN), 'warmup: then is NaN; expected'],
    [() => warmup(wrong(10), 1), 'warmup: got 10; expected an object of named arguments.'],
    [
      () => warmupCosine({ peak: 1, warmup: 10, steps: 10 }),
      'warmupCosine: steps is 10; expected a whole number of steps above warmup (10).',
    ],
    [() => warmupCosine({ peak: 1, warmup: -1, steps: 10 }), 'warmupCosine: warmup is -1; expected'],
    [
      () => warmupCosine(wrong({ peak: 1, warmup: 1, steps: 10, end: 0 })),
      'unknown argument "end"; it takes peak, warmup, steps, final.',
    ],
    [
      () => warmupStableDecay({ peak: 1, warmup: 0.5, stable: 0, decay: 1 }),
      'warmupStableDecay: warmup is 0.5; expected',
    ],
    [
      () => warmupStableDecay({ peak: 1, warmup: 0, stable: 0, decay: 1, shape: wrong('sqrt') }),
      'warmupStableDecay: shape is "sqrt"; expected "linear" or "cosine" or "one-minus-sqrt".',
    ],
    [
      () => join(wrong([])),
      'join: the list is an array of 0; expected an array [{ schedule, steps }, ..., last schedule].',
    ],
    [() => join(wrong(1)), 'join: the list is 1; expected an array'],
    [
      () => join(wrong([{ schedule: 1, steps: 5 }])),
      'join: the last part (number 1) is an object; expected a finite number, a schedule or a function of the step, without a length',
    ],
    [
      () => join([{ schedule: 1, steps: -5 }, 1]),
      'join: part 1: steps is -5; expected a whole number of steps, 0 or more.',
    ],
    [
      () => join([{ schedule: 1, steps: 5 }, { schedule: Number.NaN, steps: 5 }, 1]),
      'join: part 2: schedule is NaN; expected',
    ],
    [() => join(wrong([3, 1])), 'join: part 1: got 3; expected an object of named arguments.'],
    [() => rex({ ...ramp, steps: 0 }), 'rex: steps is 0; expected a whole number of steps, 1 or more.'],
    [() => kDecay({ ...ramp, k: 0 }), 'kDecay: k is 0; expected a finite number above 0.'],
    [
      () => kDecay({ ...ramp, k: 1, shape: wrong('exp') }),
      'kDecay: shape is "exp"; expected "polynomial" or "cosine".',
    ],
    [
      () => chebyshev({ smallestCurvature: 2, largestCurvature: 1, steps: 8 }),
      'chebyshev: largestCurvature is 1; expected a finite number from smallestCurvature (2) up.',
    ],
    [
      () => chebyshev({ smallestCurvature: 0, largestCurvature: 1, steps: 8 }),
      'chebyshev: smallestCurvature is 0; expected a finite number above 0.',
    ],
    [
      () => chebyshev({ smallestCurvature: 1, largestCurvature: 2, steps: 12 }),
      'chebyshev: steps is 12; expected a power of two, 1 or more.',
    ],
    [
      () => proportion({ schedule: 1, scheduleMaximum: 0, minimum: 0, maximum: 1 }),
      'proportion: scheduleMaximum is 0; expected a finite number above scheduleMinimum (0).',
    ],
    [
      () => proportion({ schedule: wrong('x'), scheduleMaximum: 1, minimum: 0, maximum: 1 }),
      'proportion: schedule is "x"; expected a finite number, a schedule or a function of the step.',
    ],
    [() => cyclic({ low: 0, high: 1, up: 0 }), 'cyclic: up is 0; expected a whole number of steps, 1 or more.'],
    [() => cyclic({ low: 0, high: 1, up: 2, down: 0.5 }), 'cyclic: down is 0.5; expected'],
    [() => cyclic({ low: 0, high: 1, up: 2, shape: wrong('exp_range') }), 'cyclic: shape is "exp_range"; expected'],
    [
      () => cyclic({ low: 0, high: 1, up: 2, decay: 1.1 }),
      'cyclic: decay is 1.1; expected a number above 0 and at most 1.',
    ],
    [() => cyclic(wrong(undefined)), 'cyclic: got undefined; expected an object of named arguments.'],
    [() => cosineRestarts({ peak: 1, period: 0 }), 'cosineRestarts: period is 0; expected'],
    [
      () => cosineRestarts({ peak: 1, period: 5, multiplier: 0.5 }),
      'cosineRestarts: multiplier is 0.5; expected a finite number, 1 or more.',
    ],
    [() => cosineRestarts({ peak: 1, period: 5, peakFactor: 0 }), 'cosineRestarts: peakFactor is 0; expected'],
    [
      () => inverseSquareRoot({ peak: 1, warmup: 0 }),
      'inverseSquareRoot: warmup is 0; expected a whole number of steps',
    ],
    [
      () => convexOptimal({ distance: 0, gradientNorm: 1, steps: 5 }),
      'convexOptimal: distance is 0; expected a finite',
    ],
    [() => convexOptimal(wrong({ distance: 1, steps: 5 })), 'convexOptimal: gradientNorm is missing; expected'],
    [
      () => refined({ gradientNorms: [1], peak: 1 }),
      'refined: gradientNorms is an array of 1; expected an array of at least two finite numbers above 0.',
    ],
    [() => refined({ gradientNorms: [1, 0, 1], peak: 1 }), 'refined: gradientNorms is an array of 3; expected'],
    [() => refined(wrong({ peak: 1 })), 'refined: gradientNorms is missing; expected'],
    [
      () => refined({ gradientNorms: [1, 1], peak: 1, smoothing: 1 }),
      'refined: smoothing is 1; expected a number from 0',
    ],
    [
      () => reduceOnPlateau({ from: 1, factor: 1 }),
      'reduceOnPlateau: factor is 1; expected a number above 0 and below 1.',
    ],
    [() => reduceOnPlateau({ from: 1, patience: -1 }), 'reduceOnPlateau: patience is -1; expected a whole number'],
    [
      () => reduceOnPlateau({ from: 1, threshold: -1 }),
      'reduceOnPlateau: threshold is -1; expected a finite number, 0 or',
    ],
    [
      () => reduceOnPlateau({ from: 1, direction: wrong('min') }),
      'reduceOnPlateau: direction is "min"; expected "minimize" or "maximize".',
    ],
    [
      () => gradientNormWarmup({ threshold: 0 }, 1),
      'gradientNormWarmup: threshold is 0; expected a finite number above 0.',
    ],
    [
      () => gradientNormWarmup({ threshold: 1, beta: 1 }, 1),
      'gradientNormWarmup: beta is 1; expected a number from 0 up',
    ],
    [
      () => gradientNormWarmup({ threshold: 1 }, wrong(null)),
      'gradientNormWarmup: then is null; expected a finite number,',
    ],
  ])('%#', (call, message) => {
    expect(call).toThrow(message)
  })
})

describe('the examples of the doc comments', () => {
  const folder = new URL('../src/schedules/', import.meta.url)
  const examples = readdirSync(folder).flatMap((name) => {
    const source = readFileSync(new URL(name, folder), 'utf8')
    return [...source.matchAll(/```ts\n([^`]*)```/g)].map((match) => ({
      name,
      code: match[1]!.replace(/^ \* ?/gm, ''),
    }))
  })

  it('exist for every schedule', () => {
    const text = examples.map(({ code }) => code).join()
    const makers = Object.keys(schedules).filter((name) => name !== 'evaluateSchedule' && name !== 'isSchedule')
    expect(makers.length).toBe(25)
    for (const name of makers) expect(text).toContain(`${name}(`)
  })

  it.each(examples)('$name gives the values that it shows', ({ code }) => {
    let compared = 0
    const check = (found: number, shown: number) => {
      compared++
      expectClose(found, shown)
    }
    const body = code
      .replace(/^import \{(.*)\} from 'fallline'$/m, 'const {$1} = fallline')
      .replace(/^(\S+\.at\(\d+\)) \/\/ (\S+)$/gm, 'check($1, $2)')
    new Function('fallline', 'check', body)(schedules, check)
    expect(compared).toBe(code.match(/\.at\(/g)!.length)
  })

  it('pass the type checker', () => {
    const paths = new Map(examples.map(({ name, code }) => [new URL(`example-${name}`, folder).pathname, code]))
    const options: ts.CompilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
      types: [],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
    }
    const host = ts.createCompilerHost(options)
    const { getSourceFile, fileExists } = host
    host.fileExists = (path) => paths.has(path) || fileExists.call(host, path)
    host.getSourceFile = (path, language, ...rest) => {
      const code = paths.get(path)?.replace("from 'fallline'", "from './index.ts'")
      return code === undefined
        ? getSourceFile.call(host, path, language, ...rest)
        : ts.createSourceFile(path, code, language)
    }
    const program = ts.createProgram([...paths.keys()], options, host)
    const problems = ts
      .getPreEmitDiagnostics(program)
      .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
    expect(problems).toEqual([])
  })
})
