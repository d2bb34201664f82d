import { normalCumulative, power, studentQuantile, studentTail } from '@fallline/search/internal'
import { describe, expect, it } from 'vitest'
import {
  falseClaims,
  holm,
  intervalAt,
  levelOfLook,
  type PairInput,
  replicatesNeeded,
  weigh,
} from '../src/statistics/comparison.ts'
import { median } from '../src/statistics/describe.ts'
import { compareField } from '../src/statistics/field.ts'
import { type FieldEntry, PairLookup } from '../src/statistics/pairs.ts'
import { type Arrival, informative, limitedLogRatio, miss } from '../src/statistics/ratios.ts'
import { profileCurve, profileScore, ratiosToBest } from '../src/statistics/score.ts'
import { rank } from '../src/statistics/selection.ts'
import { intervalInWords, listInWords, ratioInWords } from '../src/statistics/verdict.ts'

/** An arrival that was seen by evaluations `spacing` apart; `Infinity` is a miss. */
const seen = (by: number, spacing = 1): Arrival => (by === Infinity ? miss : { after: by - spacing, by })

/** One run per replicate: `rows[replicate][target]`. */
const replicates = (rows: readonly (readonly number[])[], spacing = 1) =>
  rows.map((row) => [row.map((by) => seen(by, spacing))])

const entry = (name: string, rows: readonly (readonly number[])[], more: Partial<FieldEntry> = {}): FieldEntry => ({
  name,
  title: name.toUpperCase(),
  gradients: replicates(rows),
  steps: replicates(rows),
  code: `${name}({ learningRate: 0.1 })`,
  ran: true,
  edge: false,
  ...more,
})

const optimizers = { claim: 'optimizers', level: levelOfLook(1), trials: 4 } as const
const settings = { claim: 'settings', level: levelOfLook(1), trials: 16 } as const

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

describe("Student's t", () => {
  it('has the published quantiles', () => {
    // Two-sided 0.05, 0.01 and 0.001, from the usual tables.
    for (const [alpha, degrees, quantile] of [
      [0.05, 1, 12.7062],
      [0.05, 2, 4.3027],
      [0.05, 7, 2.3646],
      [0.05, 30, 2.0423],
      [0.01, 7, 3.4995],
      [0.01, 10, 3.1693],
      [0.001, 5, 6.8688],
    ] as const) {
      expect(studentQuantile(alpha, degrees)).toBeCloseTo(quantile, 4)
      expect(studentTail(quantile, degrees)).toBeCloseTo(alpha, 5)
    }
    expect(studentQuantile(0.05, 100_000)).toBeCloseTo(1.96, 4)
  })

  it('is symmetric and bounded', () => {
    expect(studentTail(-2.3646, 7)).toBe(studentTail(2.3646, 7))
    expect(studentTail(0, 4)).toBe(1)
    expect(studentTail(Infinity, 4)).toBe(0)
    expect(studentTail(Number.NaN, 4)).toBe(1)
    expect(normalCumulative(1.959964)).toBeCloseTo(0.975, 6)
    expect(normalCumulative(-1.959964)).toBeCloseTo(0.025, 6)
  })

  it('has the power that is published for a t-test', () => {
    // Paired, 34 replicates, half a standard deviation, two-sided 0.05: 80.8 % (G*Power).
    expect(power(0.5 * Math.sqrt(34), studentQuantile(0.05, 33), 33)).toBeCloseTo(0.808, 2)
  })
})

describe('holm', () => {
  it('rejects in the order of the p-values, each at its level, and stops at the first that is too large', () => {
    // Smallest first: 0.005 <= 0.05 / 4, 0.01 <= 0.05 / 3, 0.03 > 0.05 / 2, and 0.04 with it although 0.04 <= 0.05.
    expect(holm([0.01, 0.04, 0.03, 0.005], 0.05)).toEqual([
      { rejected: true, level: 0.05 / 3 },
      { rejected: false, level: 0.05 / 2 },
      { rejected: false, level: 0.05 / 2 },
      { rejected: true, level: 0.05 / 4 },
    ])
    expect(holm([], 0.05)).toEqual([])
    expect(holm([0.05], 0.05)).toEqual([{ rejected: true, level: 0.05 }])
  })
})

describe('looks', () => {
  it('spend three quarters of what is left, so never more than 5 % together', () => {
    expect(levelOfLook(1)).toBeCloseTo(0.0375, 12)
    expect(levelOfLook(2)).toBeCloseTo(0.009375, 12)
    let spent = 0
    for (let look = 1; look <= 20; look++) {
      expect(levelOfLook(look)).toBeGreaterThan(0)
      spent += levelOfLook(look)
      expect(spent).toBeLessThan(falseClaims)
    }
  })
})

describe('weigh', () => {
  const first = [
    [100, 200],
    [110, 220],
    [95, 190],
    [102, 210],
  ]
  const twice = first.map((row) => row.map((by) => 2 * by))
  const pair = (a: readonly (readonly number[])[], b: readonly (readonly number[])[], more: Partial<PairInput> = {}) =>
    weigh({ first: replicates(a), second: replicates(b), paired: true, ...more })

  it('finds nothing between equals', () => {
    for (const paired of [true, false]) {
      const evidence = pair(first, first, { paired })
      expect(evidence).toMatchObject({ estimate: 0, p: 1, targets: 2, replicates: 4 })
      const [low, high] = intervalAt(evidence, 0.05)
      expect(low).toBeLessThan(0)
      expect(high).toBeGreaterThan(0)
    }
  })

  it('finds a clear difference, the same from both sides', () => {
    for (const paired of [true, false]) {
      const evidence = pair(first, twice, { paired })
      expect(Math.exp(evidence.estimate)).toBeCloseTo(2, 9)
      expect(evidence.p).toBeLessThan(0.001)
      const back = pair(twice, first, { paired })
      expect(back.estimate).toBeCloseTo(-evidence.estimate, 12)
      expect(back.p).toBeCloseTo(evidence.p, 12)
      expect(back.low.mean).toBeCloseTo(-evidence.high.mean, 12)
    }
  })

  it('tests paired differences by Student, independent scores by Welch', () => {
    // One target, no spacing: differences of logarithms are 0.1, 0.2, 0.3 and 0.4 with mean 0.25 and deviation 0.1291.
    const exact = (log: number): Arrival => ({ after: Math.exp(log), by: Math.exp(log) })
    const at = (logs: number[]) => logs.map((log) => [[exact(log)]])
    const [ones, others] = [at([5, 5.6, 5.2, 5.4]), at([5.1, 5.8, 5.5, 5.8])]
    const student = weigh({ first: ones, second: others, paired: true })
    expect(student.estimate).toBeCloseTo(0.25, 9)
    expect(student.low).toMatchObject({ degrees: 3 })
    expect(student.low.error).toBeCloseTo(0.0645497, 6)
    expect(student.p).toBeCloseTo(studentTail(0.25 / 0.0645497, 3), 6)
    // Variances 0.066667 and 0.11; error sqrt(0.176667 / 4); degrees 5.66, of which the whole part counts.
    const welch = weigh({ first: ones, second: others, paired: false })
    expect(welch.low.error).toBeCloseTo(Math.sqrt((0.0666667 + 0.11) / 4), 6)
    expect(welch.low.degrees).toBe(5)
    expect(welch.p).toBeCloseTo(studentTail(0.25 / welch.low.error, 5), 9)
    expect(welch.p).toBeGreaterThan(student.p)
  })

  it('leaves open what the spacing of the evaluations hides', () => {
    const wide = (spacing: number) =>
      weigh({ first: replicates(first, spacing), second: replicates(twice, spacing), paired: true })
    const [fine, coarse, hidden] = [wide(1), wide(40), wide(90)]
    for (const evidence of [fine, coarse, hidden]) {
      expect(evidence.low.mean).toBeLessThan(evidence.estimate)
      expect(evidence.high.mean).toBeGreaterThan(evidence.estimate)
      expect(evidence.estimate).toBe(fine.estimate)
    }
    expect(coarse.low.mean).toBeLessThan(fine.low.mean)
    expect(coarse.p).toBeGreaterThan(fine.p)
    // Twins one evaluation apart in every run: nothing can be said.
    const apart = weigh({
      first: replicates([[100], [100], [100]], 50),
      second: replicates([[150], [150], [150]], 50),
      paired: true,
    })
    expect(apart.estimate).toBeCloseTo(Math.log(1.5), 9)
    expect(apart.p).toBe(1)
  })

  it('is not moved by targets that tell nothing: reached by all at once, or by nobody', () => {
    for (const paired of [true, false]) {
      const with_ = (rows: readonly (readonly number[])[]) => rows.map((row) => [1, ...row, Infinity, Infinity])
      const bare = pair(first, twice, { paired })
      expect(pair(with_(first), with_(twice), { paired })).toEqual(bare)
    }
    const arrivals = [
      [seen(1), seen(5), miss],
      [seen(1), miss, miss],
    ]
    expect(informative(arrivals)).toEqual([1])
    expect(pair([[1], [1], [1]], [[1], [1], [1]])).toMatchObject({ targets: 0, p: 1, estimate: 0 })
    expect(pair([[Infinity], [Infinity], [Infinity]], [[Infinity], [Infinity], [Infinity]])).toMatchObject({
      targets: 0,
      p: 1,
    })
  })

  it('takes a miss for four times the best of the two, and limits the rest to that', () => {
    const missed = pair([[100], [100], [100]], [[Infinity], [Infinity], [Infinity]])
    expect(Math.exp(missed.estimate)).toBeCloseTo(4, 9)
    expect(Math.exp(pair([[100], [100], [100]], [[9000], [9000], [9000]]).estimate)).toBeCloseTo(4, 9)
    expect(limitedLogRatio(1, Infinity)).toBe(Math.log(4))
    expect(limitedLogRatio(Infinity, Infinity)).toBe(0)
    expect(limitedLogRatio(10, 15)).toBeCloseTo(Math.log(1.5), 12)
  })

  it('adds the costs of a step, and what is not known about them', () => {
    const cost = { first: Math.log(1), second: Math.log(1.5), doubt: 0.1 }
    const dearer = pair(first, first, { cost })
    expect(Math.exp(dearer.estimate)).toBeCloseTo(1.5, 9)
    const sure = pair(first, first, { cost: { ...cost, doubt: 0 } })
    expect(dearer.low.mean).toBeCloseTo(sure.low.mean - 0.1, 12)
    expect(dearer.high.mean).toBeCloseTo(sure.high.mean + 0.1, 12)
    // Half the gradients at twice the price.
    const paid = pair(first, twice, { cost: { first: Math.log(2), second: 0, doubt: 0.05 } })
    expect(paid.estimate).toBeCloseTo(0, 9)
    expect(paid.p).toBe(1)
  })

  it('never claims from fewer than three replicates', () => {
    const evidence = pair([[10], [10]], [[400], [400]])
    expect(evidence.p).toBe(1)
    expect(intervalAt(evidence, 0.05)).toEqual([-Infinity, Infinity])
    expect(pair([[10], [10], [10]], [[400], [400], [400]]).p).toBe(0)
    expect(weigh({ first: [], second: [], paired: true })).toMatchObject({ replicates: 0, p: 1 })
  })

  it('says how many replicates would be needed', () => {
    const noisy = (deviation: number) => ({ ...pair(first, first), deviation, low: still, high: still })
    const still = { mean: 0, error: 0, degrees: 3 }
    expect(replicatesNeeded(noisy(0), 1.3, 0.05, true)).toBe(3)
    const needed = replicatesNeeded(noisy(0.3), 1.3, 0.05, true)
    expect(needed).toBeGreaterThan(10)
    // The number grows with the square of the deviation.
    expect(replicatesNeeded(noisy(0.6), 1.3, 0.05, true) / needed).toBeGreaterThan(3)
    expect(replicatesNeeded(noisy(100), 1.3, 0.05, true)).toBe(1000)
    const hidden = { ...pair(first, first), low: { ...still, mean: -0.3 }, high: { ...still, mean: 0.3 } }
    expect(replicatesNeeded(hidden, 1.3, 0.05, true)).toBe(Infinity)
  })
})

describe('rank', () => {
  const trial = (arrivals: readonly number[], metric: number) => ({
    arrivals: [arrivals.map((by) => seen(by))],
    metrics: [metric],
  })

  it('goes by gradients to the targets, not by the metric', () => {
    expect(rank([trial([100, 300], 0.1), trial([90, 250], 0.9), trial([120, Infinity], 0.05)])).toEqual([1, 0, 2])
  })

  it('breaks ties by the metric, then takes the earlier trial', () => {
    expect(rank([trial([100], 0.5), trial([100], 0.4), trial([100], 0.5)])).toEqual([1, 0, 2])
    expect(rank([trial([Infinity], Infinity), trial([Infinity], 3), trial([Infinity], Infinity)])).toEqual([1, 0, 2])
  })

  it('weighs every seed', () => {
    const both = (a: number, b: number) => ({ arrivals: [[seen(a)], [seen(b)]], metrics: [1, 1] })
    expect(rank([both(100, 100), both(90, 150), both(95, 95)])).toEqual([2, 0, 1])
    expect(rank([])).toEqual([])
  })
})

describe('verdict', () => {
  const steady = [
    [100, 200],
    [110, 210],
    [100, 190],
    [105, 200],
  ]
  const behind = steady.map(([a]) => [2 * a!, Infinity])
  const lost = steady.map(() => [Infinity, Infinity])

  it('names the winner, with figures to the nearest', () => {
    const { gradients } = compareField([entry('a', steady), entry('b', behind), entry('c', lost)], optimizers)
    expect(gradients.medians).toEqual({ a: [102.5, 200], b: [205, null], c: [null, null] })
    expect(gradients.scores).toEqual({ a: 1, b: (2 / 3 + 0) / 2, c: 0 })
    expect(gradients).toMatchObject({ winner: 'a', leaders: ['a'], finding: 'difference' })
    expect(gradients.verdict).toMatch(
      /^A is ahead of B and C by gradients, in 4 independent studies of 4 tuning trials each over the ranges of the protocol\. B needs 2\.76 times as many gradients \(interval \d\.\d\d to \S+( or more)?\); C needs 3\.83 times as many gradients/,
    )
    const pairs = new PairLookup(gradients.pairs)
    // Twice the gradients on one target, and a miss, which counts as four times the best, on the other.
    const logs = steady.map(([, b]) => Math.log(2) + Math.log(760 / b!))
    expect(pairs.of('a', 'b')!.ratio).toBeCloseTo(Math.exp(logs.reduce((sum, log) => sum + log / 8, 0)), 9)
    expect(pairs.of('b', 'a')!.ratio).toBeCloseTo(1 / pairs.of('a', 'b')!.ratio, 12)
    expect(pairs.of('b', 'a')!.high).toBeCloseTo(1 / pairs.of('a', 'b')!.low, 12)
  })

  it('says that nobody is ahead, who is behind, and how many studies it would take', () => {
    const noisy = (shift: number, factor = 1) =>
      [100, 130, 90, 120, 105, 111].map((by, index) => [factor * (by + shift * (index % 2 ? 30 : -30))])
    const { gradients } = compareField(
      [entry('a', noisy(1)), entry('b', noisy(-1)), entry('c', noisy(0, 3))],
      optimizers,
    )
    expect(gradients.winner).toBeNull()
    expect([...gradients.leaders].sort()).toEqual(['a', 'b'])
    expect(gradients.verdict).toMatch(
      /^[AB] and [AB] are in front by gradients; between them the differences are no larger than chance allows/,
    )
    expect(gradients.verdict).toMatch(/it would take about \d+ independent studies\./)
    expect(gradients.verdict).toMatch(/Behind [AB]: C needs [23]\.\d\d times as many gradients/)
    const two = compareField([entry('a', noisy(1)), entry('b', noisy(-1))], optimizers).gradients
    expect(two).toMatchObject({ winner: null, finding: 'none' })
    expect(two.verdict).toMatch(
      /^Nobody is ahead by gradients: the differences between [AB] and [AB] are no larger than chance allows/,
    )
  })

  it('claims nothing from too few studies, from one contender, or when nobody reaches anything', () => {
    const short = compareField([entry('a', [[10], [10]]), entry('b', [[400], [400]])], optimizers).gradients
    expect(short.pairs[0]).toMatchObject({ low: 0, high: null, ahead: null, p: 1 })
    expect(short).toMatchObject({ winner: null, finding: 'none' })
    expect(short.verdict).toBe(
      'Nobody is called ahead: that takes at least 3 independent studies, and this race had 2.',
    )
    const alone = compareField([entry('a', steady)], optimizers).gradients
    expect(alone.verdict).toBe('There is only one contender, so there is nothing to compare.')
    expect(alone.finding).toBe('none')
    const none = compareField([entry('a', lost), entry('b', lost)], optimizers).gradients
    expect(none.verdict).toBe('Nobody reached a target, so nobody is ahead: give easier targets or more steps.')
    const never = compareField([entry('a', [], { ran: false })], optimizers).gradients
    expect(never).toMatchObject({ winner: null, scores: { a: null } })
    expect(never.verdict).toBe('No contender finished a trial, so there is nothing to compare.')
  })

  it('lets those that never ran take no part', () => {
    const { gradients } = compareField(
      [entry('a', steady), entry('b', behind), entry('c', lost, { ran: false })],
      optimizers,
    )
    expect(gradients.scores.c).toBeNull()
    expect(gradients.pairs).toHaveLength(1)
    expect(gradients.verdict).toMatch(/^A is ahead of B by gradients/)
  })

  it('puts a claim into doubt when who is behind has its best values at an edge', () => {
    const { gradients } = compareField([entry('a', steady), entry('b', behind, { edge: true })], optimizers)
    expect(gradients).toMatchObject({ winner: 'a', finding: 'edge' })
    expect(gradients.verdict).toContain('Not settled: the best settings of B still lie at the edge of what was tried')
    // Whoever is ahead can only become better.
    const front = compareField([entry('a', steady, { edge: true }), entry('b', behind)], optimizers).gradients
    expect(front).toMatchObject({ winner: 'a', finding: 'difference' })
    expect(front.verdict).not.toContain('Not settled')
  })

  it('prints the code of settings, where it is about settings', () => {
    const { gradients } = compareField([entry('a', steady), entry('b', behind)], settings)
    expect(gradients.verdict).toMatch(
      /^A as a\(\{ learningRate: 0\.1 \}\) is ahead of B as b\(\{ learningRate: 0\.1 \}\) by gradients, on 4 fresh seeds\./,
    )
    const short = compareField([entry('a', [[10]]), entry('b', [[400]])], settings).gradients
    expect(short.verdict).toBe('Nobody is called ahead: that takes at least 3 fresh seeds, and this race had 1.')
  })

  it('sees a dearer step by the clock of time only', () => {
    const costs = (factor: number) => ({ costs: [1, 1.02, 0.98, 1, 1.01, 0.99, 1, 1, 1].map((cost) => factor * cost) })
    const { gradients, time } = compareField([entry('a', steady, costs(1)), entry('b', steady, costs(1.5))], settings)
    expect(gradients.winner).toBeNull()
    expect(time).toMatchObject({ clock: 'time', winner: 'a' })
    expect(time!.pairs[0]!.ratio).toBeCloseTo(1.5, 9)
    expect(time!.medians.b![0]).toBeCloseTo(1.5 * 102.5, 9)
    expect(time!.verdict).toMatch(/^A as .* is ahead of B .* by time/)
    // A difference that a shared machine cannot be trusted with.
    const close = compareField([entry('a', steady, costs(1)), entry('b', steady, costs(1.04))], settings)
    expect(close.time!.winner).toBeNull()
    expect(close.time!.verdict).toMatch(
      /^By time on this machine nobody is ahead either: beside A, B needs 1\.04 times/,
    )
    // Without costs of its own a contender has no part in the comparison by time.
    const partly = compareField([entry('a', steady, costs(1)), entry('b', steady)], settings)
    expect(partly.time!.scores.b).toBeNull()
  })

  it('has one procedure for all pairs by both clocks', () => {
    const costs = { costs: Array(9).fill(1) }
    const { gradients, time } = compareField(
      [entry('a', steady, costs), entry('b', behind, costs), entry('c', lost, costs)],
      optimizers,
    )
    const levels = [...gradients.pairs, ...time!.pairs].map(({ level }) => level).sort((a, b) => a - b)
    expect(levels).toHaveLength(6)
    expect(levels[0]).toBeCloseTo(levelOfLook(1) / 6, 12)
  })
})

describe('words', () => {
  it('say what is limited and what is left out', () => {
    expect(ratioInWords(1.234)).toBe('1.23')
    expect(ratioInWords(4)).toBe('at least 4')
    expect(ratioInWords(0.25)).toBe('at most 0.25')
    expect(intervalInWords({ low: 1.2, high: 1.664 })).toBe('interval 1.20 to 1.66')
    expect(intervalInWords({ low: 0, high: null })).toBe('interval 0.25 or less to 4 or more')
    expect(listInWords(['a', 'b', 'c'])).toBe('a, b and c')
    expect(listInWords(Array.from({ length: 20 }, (_, index) => `c${index}`))).toBe('c0, c1, c2 and 17 others')
  })
})
