import { constant, convexBound, convexOptimal, extendedRun, transferLearningRate } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './support/random.ts'

const harmonic = (n: number) => Array.from({ length: n }, (_, k) => 1 / (k + 1)).reduce((sum, x) => sum + x, 0)

describe('the bound of convex theory', () => {
  it('is what its sums are for linear decay and for a constant rate', () => {
    const cases = [
      [1, 1, 1],
      [10, 2, 3],
      [500, 0.1, 20],
    ] as const
    for (const [steps, distance, norm] of cases) {
      const run = { steps, distance, gradientNorms: norm }
      const [flat, falling] = [convexBound(constant(1), run), convexBound((step) => steps + 1 - step, run)]
      const unit = (distance * norm) / Math.sqrt(steps)
      expect(flat.best).toBeCloseTo(unit * Math.sqrt(1 + harmonic(steps - 1)), 12)
      expect(falling.best).toBeCloseTo(2 * unit * Math.sqrt((steps - 0.5 + harmonic(steps - 1)) / (steps + 1)), 12)
    }
  })

  it('is within a factor of about two of the exact one, for the schedule that is optimal for the last point', () => {
    const [distance, gradientNorm, steps] = [2, 3, 400]
    const optimal = convexOptimal({ distance, gradientNorm, steps })
    const { bound, factor } = convexBound(optimal, { steps, distance, gradientNorms: gradientNorm })
    const exact = (distance * gradientNorm) / Math.sqrt(steps + 1)
    expect(bound).toBeGreaterThan(exact)
    expect(bound).toBeLessThan(2.1 * exact)
    expect(factor).toBeCloseTo(1, 1)
  })

  it('is least at the factor, twice as far off by a term at any other', () => {
    const random = randomNumbers(5)
    const rates = Array.from({ length: 30 }, () => 0.5 + Math.abs(random()))
    const gradientNorms = rates.map(() => 0.5 + Math.abs(random()))
    const run = { steps: 30, distance: 1.5, gradientNorms }
    const at = (height: number) => convexBound((step) => height * rates[step - 1]!, run)
    const { factor, best } = at(1)
    expect(at(factor).bound).toBeCloseTo(best, 12)
    expect(at(factor).factor).toBeCloseTo(1, 12)
    for (const other of [0.5, 0.9, 1.1, 2]) {
      expect(at(factor * other).bound / best).toBeCloseTo((other + 1 / other) / 2, 12)
    }
  })

  it('holds for gradient descent on convex functions that are not smooth', () => {
    const random = randomNumbers(9)
    let tightest = 0
    for (let trial = 0; trial < 200; trial++) {
      const slopes = Array.from({ length: 4 }, () => [random(), random(), random()])
      const start = [random(), random(), random()]
      // The largest of |⟨a, x⟩|: its minimum is 0, at 0.
      const value = (x: readonly number[]) => {
        const products = slopes.map((a) => a.reduce((sum, each, i) => sum + each * x[i]!, 0))
        const index = products.reduce((best, each, i) => (Math.abs(each) > Math.abs(products[best]!) ? i : best), 0)
        return {
          loss: Math.abs(products[index]!),
          gradient: slopes[index]!.map((each) => each * Math.sign(products[index]!)),
        }
      }
      const rates = Array.from({ length: 25 }, () => 0.01 + Math.abs(random()) / 2)
      let x = start
      const norms: number[] = []
      let loss = 0
      for (const rate of rates) {
        const here = value(x)
        loss = here.loss
        norms.push(Math.max(1e-9, Math.hypot(...here.gradient)))
        x = x.map((each, i) => each - rate * here.gradient[i]!)
      }
      const run = { steps: rates.length, distance: Math.hypot(...start), gradientNorms: norms }
      const { bound } = convexBound((step) => rates[step - 1]!, run)
      expect(loss).toBeLessThanOrEqual(bound)
      tightest = Math.max(tightest, loss / bound)
    }
    expect(tightest).toBeGreaterThan(0.05)
  })

  it('leaves out what does not move', () => {
    const run = { distance: 1, gradientNorms: 1 }
    const short = convexBound(constant(0.1), { ...run, steps: 10 })
    expect(convexBound((step) => (step > 10 ? 0 : 0.1), { ...run, steps: 15 })).toEqual(short)
  })
})

describe('learning rates carried over', () => {
  const flat = (steps: number) => ({ schedule: constant(1), steps })
  const falling = (steps: number) => ({ schedule: (step: number) => (steps + 1 - step) / steps, steps })

  it('halve, nearly, for linear decay over four times the length, whatever the norms', () => {
    const rate = transferLearningRate(0.2, falling(1000), falling(4000))
    expect(rate).toBeCloseTo(0.1, 3)
    const sevenfold = { gradientNorms: 7 }
    expect(
      transferLearningRate(0.2, { ...falling(1000), ...sevenfold }, { ...falling(4000), ...sevenfold }),
    ).toBeCloseTo(rate, 12)
  })

  it('are higher for a schedule that falls', () => {
    const rate = transferLearningRate(0.1, flat(1000), falling(1000))
    expect(rate).toBeGreaterThan(0.25)
    expect(rate).toBeLessThan(0.3)
    expect(transferLearningRate(rate, falling(1000), flat(1000))).toBeCloseTo(0.1, 12)
  })

  it('continue a run lower, the longer the lower', () => {
    const rest = (steps: number, times: number) =>
      extendedRun({ peak: 1, steps, extended: steps * times }).at(0.85 * steps)
    expect(rest(2000, 2)).toBeCloseTo(0.53, 2)
    expect(rest(2000, 4)).toBeCloseTo(0.376, 2)
    expect(rest(200, 2) / rest(2000, 2)).toBeCloseTo(1, 1)
  })

  it('leave the best height of the whole run where it was', () => {
    const schedule = extendedRun({ peak: 0.3, steps: 500, extended: 1200, cooldown: 0.3 })
    const short = (step: number) => 0.3 * Math.min(1, (501 - step) / 151)
    const [before, after] = [
      convexBound(short, { steps: 500, distance: 1 }),
      convexBound(schedule, { steps: 1200, distance: 1 }),
    ]
    expect(after.factor).toBeCloseTo(before.factor, 8)
    expect(schedule.at(350)).toBe(0.3)
    expect(schedule.at(351)).toBeLessThan(0.25)
    expect(schedule.at(1201)).toBe(0)
  })
})

describe('what is refused', () => {
  it('names the argument', () => {
    const run = { steps: 3, distance: 1 }
    expect(() => convexBound(0.1, { ...run, steps: 0 })).toThrow(/convexBound: steps is 0; expected a whole number/)
    expect(() => convexBound(0.1, { ...run, distance: 0 })).toThrow(/convexBound: distance is 0/)
    expect(() => convexBound(0.1, { ...run, gradientNorms: [1, 2] })).toThrow(
      /has 2 numbers; expected one for each of 3/,
    )
    expect(() => convexBound(0.1, { ...run, gradientNorms: [1, 0, 1] })).toThrow(/gradientNorms is an array of 3/)
    expect(() => convexBound(0, run)).toThrow(/is 0 at every step/)
    expect(() => convexBound((step) => 1 - step, run)).toThrow(/is -1 at step 2/)
    expect(() => convexBound('0.1' as never, run)).toThrow(/the learning rate is "0.1"/)
    expect(() => convexBound(0.1, { ...run, norms: 1 } as never)).toThrow(/unknown argument "norms"/)
    expect(() => transferLearningRate(0, { schedule: 1, steps: 2 }, { schedule: 1, steps: 2 })).toThrow(
      /learningRate is 0/,
    )
    expect(() => transferLearningRate(1, { schedule: 1, steps: 2 }, { schedule: 1, steps: 0.5 })).toThrow(
      /to: steps is 0.5/,
    )
    expect(() => extendedRun({ peak: 1, steps: 10, extended: 10 })).toThrow(
      /extended is 10; expected more steps than 10/,
    )
    expect(() => extendedRun({ peak: 1, steps: 10, extended: 20, cooldown: 0 })).toThrow(/cooldown is 0/)
  })
})
