import { median } from '../statistics/describe.ts'

/** Fresh seeds on which pick and baseline meet, unless asked for otherwise. */
export const confirmationSeeds = 8

/** How often a pick that is no better than the baseline may be confirmed. */
export const confirmationLevel = 0.05

/** What the fresh seeds say of the pick beside the baseline, each at its setting. */
export interface Confirmation {
  /** Whether the claim "the pick at this setting beats the baseline at that one, on this task" stands: `pValue` is at most `level`. */
  readonly confirmed: boolean
  readonly level: number
  /** How likely the pick would do at least as well by chance if it were no better. */
  readonly pValue: number
  readonly seeds: number
  /** Seeds on which the pick was better, equal and worse. */
  readonly wins: number
  readonly ties: number
  readonly losses: number
  /** Medians of the metric, smaller is better; `null` when at least half of the runs did not finish. */
  readonly medianOfPick: number | null
  readonly medianOfBaseline: number | null
  /**
   * The difference of the metric, pick minus baseline, by Hodges and Lehmann (1963): the median of the means of all pairs of seeds. `null`
   * where runs that did not finish leave it open.
   */
  readonly difference: number | null
  /**
   * Its interval at 1 - 2 `level` (90 %), from the order statistics of the same means; its upper end is the bound of the one-sided test. An
   * end is `null` where it is open.
   */
  readonly interval: readonly [low: number | null, high: number | null]
}

/**
 * The test that is fixed before the fresh seeds are run: Wilcoxon's signed-rank test (1945) of the paired differences of the judged metric,
 * one-sided, with the exact distribution of the ranks that occurred. Pick and baseline train on the same seeds, so the differences
 * are free of what a seed does to both. If the pick is no better, every difference is as likely to have the other sign; that is all the test
 * assumes. A run that did not finish is worse than every other; two of them, like two equal metrics, are a tie and are left out.
 *
 * @param pick metric at the end by seed, smaller is better; `Infinity` for a run that did not finish
 * @param baseline the same of the baseline, on the same seeds
 * @param level Default: 0.05
 * @throws RangeError when there are not as many metrics of both, at least one, or when one is NaN
 */
export function confirm(
  pick: readonly number[],
  baseline: readonly number[],
  level: number = confirmationLevel,
): Confirmation {
  const seeds = pick.length
  if (seeds === 0 || baseline.length !== seeds) {
    throw new RangeError(
      `pick and baseline need the same seeds, at least one, but there are ${seeds} and ${baseline.length} metrics`,
    )
  }
  if (!(level > 0 && level < 0.5)) throw new RangeError(`the level must lie between 0 and 0.5, not at ${level}`)
  const unknown = [...pick, ...baseline].find((metric) => Number.isNaN(metric))
  if (unknown !== undefined) throw new RangeError('a metric is NaN: a run that did not finish counts as Infinity')
  const differences = pick.map((metric, seed) => (metric === baseline[seed] ? 0 : metric - baseline[seed]!))
  const pValue = signedRankTest(differences)
  const [difference, interval] = hodgesLehmann(differences, level)
  return {
    confirmed: pValue <= level,
    level,
    pValue,
    seeds,
    wins: differences.filter((each) => each < 0).length,
    ties: differences.filter((each) => each === 0).length,
    losses: differences.filter((each) => each > 0).length,
    medianOfPick: finite(median(pick)),
    medianOfBaseline: finite(median(baseline)),
    difference,
    interval,
  }
}

/** The fewest seeds on which a pick that wins on all of them is confirmed; with fewer nothing ever is. 5 at a level of 0.05. */
export function fewestSeeds(level: number = confirmationLevel): number {
  return Math.ceil(-Math.log2(level) - 1e-9)
}

const finite = (value: number) => (Number.isFinite(value) ? value : null)

/** How likely the positive differences have a rank sum as small as this one, if every sign were tossed: exact, with mean ranks for ties. */
function signedRankTest(differences: readonly number[]): number {
  const moved = differences.filter((difference) => difference !== 0)
  const sizes = moved.map(Math.abs)
  // Twice the mean rank is a whole number, so that the distribution of the sums is a table.
  const ranks = sizes.map(
    (size) => 1 + 2 * sizes.filter((other) => other < size).length + sizes.filter((other) => other === size).length,
  )
  const sum = ranks.reduce((total, rank, index) => (moved[index]! > 0 ? total + rank : total), 0)
  return rankSums(ranks).reduce((total, probability, value) => (value <= sum ? total + probability : total), 0)
}

/** The probability of every sum of the ranks whose sign came up positive, by the sum. */
function rankSums(ranks: readonly number[]): number[] {
  let probabilities = [1]
  for (const rank of ranks) {
    const next = Array<number>(probabilities.length + rank).fill(0)
    for (const [sum, probability] of probabilities.entries()) {
      next[sum]! += probability / 2
      next[sum + rank]! += probability / 2
    }
    probabilities = next
  }
  return probabilities
}

type Interval = readonly [low: number | null, high: number | null]

function hodgesLehmann(differences: readonly number[], level: number): [number | null, Interval] {
  const means = differences
    .flatMap((first, index) => differences.slice(index).map((second) => meanOf(first, second)))
    .sort((a, b) => (a === b ? 0 : a - b))
  // Without ties the ranks are 1, 2, ...; so many means may lie beyond each end of the interval.
  const sums = rankSums(differences.map((_, index) => index + 1))
  let beyond = 0
  for (let tail = sums[0]!; tail <= level; tail += sums[beyond]!) beyond++
  if (beyond === 0) return [finite(median(means)), [null, null]]
  return [finite(median(means)), [finite(means[beyond - 1]!), finite(means.at(-beyond)!)]]
}

/** Of a run lost by the one and a run lost by the other nothing is known: as if they were equal. */
function meanOf(first: number, second: number): number {
  return first === -second ? 0 : (first + second) / 2
}
