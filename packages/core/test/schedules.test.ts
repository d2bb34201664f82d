import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import * as schedules from '../src/schedules/index.ts'
import {
  constant,
  cosine,
  evaluateSchedule,
  exponential,
  type HyperValue,
  isSchedule,
  join,
  linear,
  oneCycle,
  polynomial,
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
    const short = warmupCosine({ peak: 0.4, warmup: 10, total: 50, final: 0.1 })
    const long = warmup({ steps: 10 }, cosine({ from: 0.4, to: 0.1, steps: 40 }))
    expect(valuesOf(short, 60)).toEqual(valuesOf(long, 60))
    expect(short.kind).toBe('warmupCosine')
    expect(short.start).toBe(0)
    expect(warmupCosine({ peak: 1, warmup: 0, total: 10 }).at(10)).toBe(0)
    expect(warmupCosine({ peak: 1, warmup: 0, total: 10 }).start).toBe(1)
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
      () => warmupCosine({ peak: 1, warmup: 10, total: 10 }),
      'warmupCosine: total is 10; expected a whole number of steps above warmup (10).',
    ],
    [() => warmupCosine({ peak: 1, warmup: -1, total: 10 }), 'warmupCosine: warmup is -1; expected'],
    [
      () => warmupCosine(wrong({ peak: 1, warmup: 1, total: 10, end: 0 })),
      'unknown argument "end"; it takes peak, warmup, total, final.',
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
    expect(makers.length).toBe(11)
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
