import { type Random, random } from '../search/random.ts'
import { median, normalQuantile, quantile, studentQuantile, tail } from './describe.ts'
import { worstRatio } from './score.ts'

/** Fewest report seeds from which a difference is ever claimed. */
export const fewestSeeds = 3

const resamples = 2000

/** Smallest relative difference in time per step that the clock of a shared machine can be trusted with. */
export const clockTrust = 0.05

/** How many times the steps (or the time) of one contender another needs, with its interval, 95 % for both clocks together. */
export interface RatioInterval {
  /** Geometric mean over seeds and targets of the ratio, each ratio limited to 1/4 ... 4. */
  ratio: number
  low: number
  high: number
  /** Standard deviation over seeds of the mean logarithm of the ratio. */
  seedDeviation: number
}

/** What the ratio of two contenders is computed from. */
export interface PairInput {
  /** `first[seed][target]`: steps to the target, `Infinity` for a miss. */
  first: readonly (readonly number[])[]
  /** The same for the other contender, on the same seeds and targets. */
  second: readonly (readonly number[])[]
  /** Steps between two evaluations: steps to a target are known no better. */
  evaluateEvery: number
  /** Cost of a step in each block of the micro-race, for the clock of time; absent for the clock of steps. */
  costs?: { first: readonly number[]; second: readonly number[] }
  /** Seed of the resampling. */
  seed: number
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * Logarithm of second / first, limited to the ratio 4, where the score of a target ends: so a miss counts as the worst there is
 * and the mean stays finite. Two misses are a tie.
 */
function limitedLogRatio(first: number, second: number, logCost: number): number {
  if (first === Infinity && second === Infinity) return 0
  const limit = Math.log(worstRatio)
  return Math.max(-limit, Math.min(limit, Math.log(second / first) + logCost))
}

/**
 * The ratio second / first of steps (or time) to the targets, with a paired bootstrap interval: seeds and targets are drawn with
 * replacement, each draw taking both contenders' results, and for the clock of time the blocks of the micro-race too.
 *
 * With few seeds the percentiles of a bootstrap are too narrow. Those over seeds are therefore stretched about the estimate by
 * t(n - 1) / z * sqrt(n / (n - 1)), n the number of seeds and t and z the
 * quantiles of Student's and the normal distribution, which is exact for normal differences (compare Hesterberg 2015, "What
 * teachers should know about the bootstrap"). Seeds, targets, blocks and the resolution of the evaluations (and 5 % for the clock of
 * time) are independent sources of error, so their half widths are added in quadrature. Below three seeds the interval is unbounded.
 */
export function ratioInterval(input: PairInput): RatioInterval {
  const { first, second, evaluateEvery, costs } = input
  const seeds = first.length
  const targets = first[0]?.length ?? 0
  const blocks = costs ? Math.min(costs.first.length, costs.second.length) : 0
  const logCosts = Array.from({ length: blocks }, (_, block) => Math.log(costs!.second[block]! / costs!.first[block]!))
  const logCost = blocks > 0 ? median(logCosts) : 0
  const logRatios = first.map((row, seed) =>
    row.map((time, target) => limitedLogRatio(time, second[seed]![target]!, logCost)),
  )

  const perSeed = logRatios.map(mean)
  const perTarget = Array.from({ length: targets }, (_, target) => mean(logRatios.map((row) => row[target]!)))
  const estimate = mean(perSeed)
  const squares = perSeed.map((value) => (value - estimate) ** 2)
  const seedDeviation = seeds > 1 ? Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / (seeds - 1)) : 0
  if (seeds < fewestSeeds) return { ratio: Math.exp(estimate), low: 0, high: Infinity, seedDeviation }

  const draws = random(input.seed, 'bootstrap')
  const stretch = (studentQuantile(seeds - 1) / normalQuantile) * Math.sqrt(seeds / (seeds - 1))
  const parts = [
    halfWidths(perSeed, mean, draws).map((width) => width * stretch),
    halfWidths(perTarget, mean, draws),
    ...(blocks > 0 ? [halfWidths(logCosts, median, draws)] : []),
    Array<number>(2).fill(resolution(first, second, evaluateEvery)),
    Array<number>(2).fill(costs ? clockTrust : 0),
  ]
  const below = Math.hypot(...parts.map(([width]) => width!))
  const above = Math.hypot(...parts.map(([, width]) => width!))
  return { ratio: Math.exp(estimate), low: Math.exp(estimate - below), high: Math.exp(estimate + above), seedDeviation }
}

/** How far the percentiles at `tail` and 1 - `tail` of a bootstrapped statistic lie below and above it. */
function halfWidths(
  values: readonly number[],
  statistic: (values: readonly number[]) => number,
  draws: Random,
): [below: number, above: number] {
  const estimates = Array.from({ length: resamples }, () =>
    statistic(values.map(() => values[draws.integer(0, values.length - 1)]!)),
  )
  const center = statistic(values)
  return [Math.max(0, center - quantile(estimates, tail)), Math.max(0, quantile(estimates, 1 - tail) - center)]
}

/** Half width of what the spacing of the evaluations leaves open in the mean logarithm of the ratio. */
function resolution(
  first: readonly (readonly number[])[],
  second: readonly (readonly number[])[],
  evaluateEvery: number,
): number {
  // A crossing lies anywhere in the interval before the evaluation that saw it: deviation evaluateEvery / sqrt(12).
  const relative = (steps: number) => (Number.isFinite(steps) ? evaluateEvery / Math.sqrt(12) / steps : 0)
  const perSeed = first.map((row, seed) =>
    mean(row.map((steps, target) => Math.hypot(relative(steps), relative(second[seed]![target]!)))),
  )
  return (normalQuantile * Math.hypot(...perSeed)) / perSeed.length
}

/**
 * About how many report seeds would show a difference of the given ratio with a probability of 0.8, from the deviation over seeds.
 *
 * @param seedDeviation standard deviation over seeds of the mean logarithm of the ratio
 * @param ratio the difference to be found, such as 1.3
 */
export function seedsNeeded(seedDeviation: number, ratio: number): number {
  const powerQuantile = 0.8416
  for (let seeds = fewestSeeds; seeds < 1000; seeds++) {
    const standardError = seedDeviation / Math.sqrt(seeds)
    if (Math.log(ratio) >= (studentQuantile(seeds - 1) + powerQuantile) * standardError) return seeds
  }
  return 1000
}
