import { describe, expect, it } from 'vitest'
import { random } from '../src/search/random.ts'
import { ratioInterval, seedsNeeded } from '../src/statistics/bootstrap.ts'
import { median, studentQuantile } from '../src/statistics/describe.ts'
import { compareField, type FieldEntry } from '../src/statistics/field.ts'
import { profileCurve, profileScore, ratiosToBest } from '../src/statistics/score.ts'

/** Steps to six targets on some seeds: a common level per seed and contender, noise per target, seen at every tenth step. */
function simulate(source: ReturnType<typeof random>, seeds: number, factor: number): number[][] {
  const normal = () => Math.sqrt(-2 * Math.log(1 - source.uniform())) * Math.cos(2 * Math.PI * source.uniform())
  return Array.from({ length: seeds }, () => {
    const level = 0.07 * normal()
    return [60, 90, 130, 180, 240, 400].map((steps) => {
      const exact = steps * factor * Math.exp(level + 0.05 * normal())
      // The hardest target is often missed.
      return exact > 420 ? Infinity : Math.ceil(exact / 10) * 10
    })
  })
}

const options = { clock: 'steps', evaluateEvery: 10, seed: 1 } as const
const entry = (name: string, steps: number[][], costs?: number[]): FieldEntry => ({
  name,
  title: name.toUpperCase(),
  steps,
  ...(costs ? { costs } : {}),
})

describe('score', () => {
  // Three contenders on three targets, one of which only the first reaches.
  const times = [
    [100, 200, 300],
    [150, 100, Infinity],
    [500, 250, Infinity],
  ]

  it('has the closed form mean of max(0, (4 - r) / 3), misses counting nothing', () => {
    const ratios = ratiosToBest(times)
    expect(ratios).toEqual([
      [1, 2, 1],
      [1.5, 1, Infinity],
      [5, 2.5, Infinity],
    ])
    expect(ratios.map(profileScore)).toEqual([(1 + 2 / 3 + 1) / 3, (2.5 / 3 + 1 + 0) / 3, (0 + 0.5 + 0) / 3])
  })

  it('is the area under the profile from 1 to 4, over 3', () => {
    for (const ratios of ratiosToBest(times)) {
      const curve = profileCurve(ratios).filter(({ ratio }) => ratio <= 4)
      const area = curve.reduce(
        (sum, { ratio, share }, index) => sum + share * ((curve[index + 1]?.ratio ?? 4) - ratio),
        0,
      )
      expect(area / 3).toBeCloseTo(profileScore(ratios), 12)
    }
    expect(profileCurve([1.5, 1, Infinity])).toEqual([
      { ratio: 1, share: 1 / 3 },
      { ratio: 1.5, share: 2 / 3 },
    ])
  })

  it('gives nothing to anybody on a target that nobody reaches', () => {
    expect(ratiosToBest([[Infinity], [Infinity]]).map(profileScore)).toEqual([0, 0])
  })

  it('takes medians with infinities among the values', () => {
    expect(median([1, Infinity, 3])).toBe(3)
    expect(median([1, 2, Infinity, Infinity])).toBe(Infinity)
    expect(median([Infinity, Infinity])).toBe(Infinity)
    expect(median([1, 2, 4, Infinity])).toBe(3)
  })
})

describe('verdict', () => {
  it('names the winner of a hand-made race with misses', () => {
    const result = compareField(
      [
        entry('a', [
          [100, 200],
          [110, 210],
          [100, 190],
        ]),
        entry('b', [
          [200, Infinity],
          [220, Infinity],
          [200, Infinity],
        ]),
        entry('c', [
          [Infinity, Infinity],
          [Infinity, Infinity],
          [Infinity, Infinity],
        ]),
      ],
      options,
    )
    expect(result.medians).toEqual({ a: [100, 200], b: [200, null], c: [null, null] })
    expect(result.scores).toEqual({ a: 1, b: (2 / 3 + 0) / 2, c: 0 })
    expect(result.winner).toBe('a')
    expect(result.verdict).toContain('A wins by steps. Its closest rival B needs 2.83 times as many steps')
    // Twice the steps on one target, and a miss, which counts as 4, on the other: the geometric mean is the root of 8.
    const pair = result.pairs.find(({ first, second }) => first === 'a' && second === 'b')!
    expect(pair.ratio).toBeCloseTo(Math.sqrt(8), 6)
    expect(result.pairs.find(({ second, first }) => first === 'a' && second === 'c')!.ratio).toBeCloseTo(4, 6)
  })

  it('says that there is no evidence when the interval contains none, and who is behind', () => {
    const noisy = (shift: number) =>
      [100, 130, 90, 120, 105].map((steps, seed) => [steps + shift * (seed % 2 ? 20 : -20)])
    const result = compareField(
      [
        entry('a', noisy(1)),
        entry('b', noisy(-1)),
        entry(
          'c',
          noisy(0).map(([s]) => [3 * s!]),
        ),
      ],
      options,
    )
    expect(result.winner).toBeNull()
    expect([...result.leaders].sort()).toEqual(['a', 'b'])
    expect(result.verdict).toMatch(/^No evidence of a difference between [AB] and [AB] by steps\./)
    expect(result.verdict).toMatch(/Behind [AB]: C needs [23]\.\d\d times as many steps/)
    expect(result.verdict).toMatch(/about \d+ report seeds would be needed/)
  })

  it('claims nothing with fewer than three seeds, from one contender, or when nobody reaches anything', () => {
    const far = compareField([entry('a', [[10], [10]]), entry('b', [[400], [400]])], options)
    expect(far.winner).toBeNull()
    expect(far.pairs[0]).toMatchObject({ low: 0, high: null, ahead: null })
    expect(far.verdict).toContain('it takes at least 3 report seeds')
    expect(compareField([entry('a', [[10], [10], [10]])], options).verdict).toContain('only one contender')
    const none = compareField(
      [entry('a', [[Infinity], [Infinity], [Infinity]]), entry('b', [[Infinity], [Infinity], [Infinity]])],
      options,
    )
    expect(none.verdict).toBe('Nobody reached a target on any seed, so there is no evidence of a difference by steps.')
  })

  it('sees a dearer step by the clock of time only', () => {
    const steps = [
      [100, 200],
      [110, 220],
      [90, 180],
      [100, 200],
    ]
    const entries = [entry('a', steps, [1, 1.02, 0.98, 1, 1.01]), entry('b', steps, [1.5, 1.51, 1.49, 1.5, 1.52])]
    expect(compareField(entries, options).winner).toBeNull()
    const time = compareField(entries, { ...options, clock: 'time' })
    expect(time.winner).toBe('a')
    expect(time.pairs[0]!.ratio).toBeCloseTo(1.5, 2)
    expect(time.medians.b).toEqual([150, 300])
    // A difference that a shared machine cannot be trusted with.
    const close = [entry('a', steps, [1, 1, 1, 1, 1]), entry('b', steps, [1.02, 1.02, 1.02, 1.02, 1.02])]
    expect(compareField(close, { ...options, clock: 'time' }).winner).toBeNull()
  })

  it('declares no difference between an optimizer and itself in at least 95 of 100 races', () => {
    const source = random(1, 'test of a race against itself')
    let quiet = 0
    for (let repetition = 0; repetition < 100; repetition++) {
      const cost = () => Array.from({ length: 9 }, () => 1 + 0.1 * source.uniform())
      const entries = [entry('a', simulate(source, 5, 1), cost()), entry('b', simulate(source, 5, 1), cost())]
      const clocks = [options, { ...options, clock: 'time' } as const]
      if (clocks.every((clock) => compareField(entries, clock).winner === null)) quiet++
    }
    expect(quiet).toBeGreaterThanOrEqual(95)
  })

  it('finds a planted winner with 1.3 times fewer steps in at least 80 of 100 races of eight seeds', () => {
    const source = random(2, 'test of a planted winner')
    let found = 0
    let wrong = 0
    for (let repetition = 0; repetition < 100; repetition++) {
      const result = compareField(
        [entry('slow', simulate(source, 8, 1.3)), entry('fast', simulate(source, 8, 1))],
        options,
      )
      if (result.winner === 'fast') found++
      if (result.winner === 'slow') wrong++
    }
    expect(found).toBeGreaterThanOrEqual(80)
    expect(wrong).toBe(0)
  })
})

describe('bootstrap interval', () => {
  it('covers the true ratio in at least 95% of the cases', () => {
    const source = random(3, 'test of the coverage')
    const steady = (factor: number) =>
      Array.from({ length: 6 }, () => {
        const level = Math.exp(0.2 * (source.uniform() - 0.5))
        return [100, 200, 300].map((steps) => steps * factor * level)
      })
    let covered = 0
    for (let repetition = 0; repetition < 200; repetition++) {
      const { low, high } = ratioInterval({ first: steady(1), second: steady(1.4), evaluateEvery: 1, seed: repetition })
      if (low <= 1.4 && 1.4 <= high) covered++
    }
    expect(covered).toBeGreaterThanOrEqual(190)
    // An interval that covers always would be too wide to tell anything.
    expect(ratioInterval({ first: steady(1), second: steady(1.4), evaluateEvery: 1, seed: 1 }).low).toBeGreaterThan(1)
  })

  it('narrows with seeds, widens with the spacing of the evaluations, and repeats for a seed', () => {
    const source = random(4, 'test of the width')
    const [first, second] = [simulate(source, 20, 1), simulate(source, 20, 1)]
    const width = (seeds: number, evaluateEvery: number) => {
      const input = { first: first.slice(0, seeds), second: second.slice(0, seeds), evaluateEvery, seed: 1 }
      const { low, high } = ratioInterval(input)
      expect(ratioInterval(input)).toEqual(ratioInterval(input))
      return Math.log(high / low)
    }
    expect(width(20, 10)).toBeLessThan(width(4, 10))
    expect(width(20, 50)).toBeGreaterThan(width(20, 10))
  })

  it('is symmetric in the contenders, but for the resampling', () => {
    const source = random(5, 'test of symmetry')
    const [first, second] = [simulate(source, 6, 1), simulate(source, 6, 1.2)]
    const forth = ratioInterval({ first, second, evaluateEvery: 10, seed: 1 })
    const back = ratioInterval({ first: second, second: first, evaluateEvery: 10, seed: 1 })
    expect(back.ratio).toBeCloseTo(1 / forth.ratio, 12)
    expect(back.low).toBeCloseTo(1 / forth.high, 1)
  })

  it('says how many seeds would be needed', () => {
    expect(seedsNeeded(0, 1.3)).toBe(3)
    const seeds = seedsNeeded(0.3, 1.3)
    expect(seeds).toBeGreaterThan(10)
    expect(seedsNeeded(0.6, 1.3)).toBeGreaterThan(3 * seeds)
    expect(studentQuantile(31)).toBeLessThan(studentQuantile(30))
    expect(studentQuantile(1e6)).toBeCloseTo(2.2414, 3)
  })
})
