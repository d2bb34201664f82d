import { power, studentQuantile, studentTail } from '@fallline/search/internal'
import { type Arrival, informative, worstRatio } from './ratios.ts'

/** Probability of a false claim that a race allows itself, over all contenders, pairs, clocks and looks together. */
export const falseClaims = 0.05

/** Share of the remaining probability that a look may spend. */
const spentByLook = 0.75

/** Fewest replicates from which a difference is ever claimed. */
export const fewestReplicates = 3

/**
 * What the k-th look at a growing race may spend of the 5 %: three quarters of what the looks before have left (3.75 %, 0.94 %, 0.23 %,
 * ...), so that the looks together never spend more (alpha spending: Lan and DeMets 1983, by the inequality of Bonferroni).
 *
 * @param look number of the look, from 1
 */
export function levelOfLook(look: number): number {
  return falseClaims * spentByLook * (1 - spentByLook) ** (look - 1)
}

/** What two contenders are compared by. */
export interface PairInput {
  /** `first[replicate][run][target]`. Replicates are independent of each other: studies, or seeds of one setting. */
  readonly first: readonly (readonly (readonly Arrival[])[])[]
  readonly second: readonly (readonly (readonly Arrival[])[])[]
  /** Whether replicate k of both has the luck of the seed in common and little else that varies, so that differences are taken. */
  readonly paired: boolean
  /** Logarithms of the costs of a step of both, and half width of what is not known about their difference. */
  readonly cost?: { readonly first: number; readonly second: number; readonly doubt: number }
}

/** One end of what is not known about a mean: the mean there, its standard error and degrees of freedom. */
interface Bound {
  readonly mean: number
  readonly error: number
  readonly degrees: number
}

/** What the replicates say of the logarithm of the ratio second / first. */
export interface PairEvidence {
  readonly replicates: number
  /** Difference of the mean scores. */
  readonly estimate: number
  /** The same at either end of what the spacing of the evaluations and the costs leave open. */
  readonly low: Bound
  readonly high: Bound
  /** Standard deviation over replicates of the difference. */
  readonly deviation: number
  /** Two-sided p-value of a ratio of 1. */
  readonly p: number
  /** How many targets tell the two apart. */
  readonly targets: number
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function variance(values: readonly number[]): number {
  if (values.length < 2) return 0
  const center = mean(values)
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1)
}

/**
 * Compares two contenders. The score of a replicate is the mean over its runs and the informative targets of the logarithm of the
 * gradients (or the time) to the target, limited to four times the best of the two; a miss counts as the limit. The logarithm of the
 * ratio second / first is the difference of the mean scores, tested by Student's t over paired replicates or by Welch's t (1947) over
 * independent ones. It counts only as far as it exceeds what the spacing of the evaluations and the measurement of costs leave open: an
 * arrival may lie anywhere between two evaluations, in the same place for all seeds, so that more seeds do not narrow it.
 */
export function weigh({ first, second, paired, cost }: PairInput): PairEvidence {
  const replicates = first.length
  const targets = informative([...first.flat(), ...second.flat()])
  if (targets.length === 0 || replicates === 0) {
    const none = { mean: 0, error: 0, degrees: 1 }
    return { replicates, estimate: 0, low: none, high: none, deviation: 0, p: 1, targets: 0 }
  }
  const log = (gradients: number, cost: number) => Math.log(gradients) + cost
  const costs = { first: cost?.first ?? 0, second: cost?.second ?? 0 }
  const limit = Math.log(worstRatio)
  const best = targets.map((target) =>
    Math.min(
      ...first.flat().map((run) => log(run[target]!.by, costs.first)),
      ...second.flat().map((run) => log(run[target]!.by, costs.second)),
    ),
  )
  const scores = (side: typeof first, which: 'after' | 'by', logCost: number) =>
    side.map((runs) =>
      mean(
        runs.flatMap((run) =>
          targets.map((target, index) => {
            const value = log(run[target]![which], logCost)
            return Math.min(best[index]! + limit, Math.max(best[index]! - limit, value))
          }),
        ),
      ),
    )
  const by = { first: scores(first, 'by', costs.first), second: scores(second, 'by', costs.second) }
  const after = { first: scores(first, 'after', costs.first), second: scores(second, 'after', costs.second) }
  const bound = (ones: readonly number[], others: readonly number[], shift: number): Bound => {
    const center = mean(others) - mean(ones) + shift
    if (paired) {
      const differences = others.map((value, index) => value - ones[index]!)
      return {
        mean: center,
        error: Math.sqrt(variance(differences) / replicates),
        degrees: Math.max(1, replicates - 1),
      }
    }
    const parts = [variance(ones) / replicates, variance(others) / replicates]
    const total = parts[0]! + parts[1]!
    const squares = (parts[0]! ** 2 + parts[1]! ** 2) / Math.max(1, replicates - 1)
    return {
      mean: center,
      error: Math.sqrt(total),
      degrees: total === 0 ? Math.max(1, replicates - 1) : Math.max(1, Math.floor(total ** 2 / squares)),
    }
  }
  const doubt = cost?.doubt ?? 0
  const low = bound(by.first, after.second, -doubt)
  const high = bound(after.first, by.second, doubt)
  const middle = bound(by.first, by.second, 0)
  const nearest = low.mean > 0 ? low : high.mean < 0 ? high : null
  return {
    replicates,
    estimate: middle.mean,
    low,
    high,
    deviation: middle.error * Math.sqrt(replicates),
    p:
      nearest === null || replicates < fewestReplicates
        ? 1
        : studentTail(nearest.mean / nearest.error, nearest.degrees),
    targets: targets.length,
  }
}

/** Interval of the logarithm of the ratio at a level. */
export function intervalAt({ low, high, replicates }: PairEvidence, level: number): [number, number] {
  if (replicates < fewestReplicates) return [-Infinity, Infinity]
  return [
    low.mean - studentQuantile(level, low.degrees) * low.error,
    high.mean + studentQuantile(level, high.degrees) * high.error,
  ]
}

/**
 * Holm's procedure (1979): which hypotheses are rejected so that the probability of rejecting any true one is at most `level`, and at
 * which level each was tested.
 */
export function holm(ps: readonly number[], level: number): { rejected: boolean; level: number }[] {
  const order = ps.map((_, index) => index).sort((a, b) => ps[a]! - ps[b]! || a - b)
  const results: { rejected: boolean; level: number }[] = new Array(ps.length)
  let open = true
  let at = level
  order.forEach((index, rank) => {
    if (open) {
      at = level / (ps.length - rank)
      open = ps[index]! <= at
    }
    results[index] = { rejected: open, level: at }
  })
  return results
}

/**
 * Fewest replicates with which a test at `level` would show a difference of the given ratio with a probability of 0.8, if the deviation
 * over replicates is the one found; infinite where the spacing of the evaluations hides it.
 */
export function replicatesNeeded(evidence: PairEvidence, ratio: number, level: number, paired: boolean): number {
  const visible = Math.log(ratio) - (evidence.high.mean - evidence.low.mean) / 2
  if (visible <= 0) return Infinity
  const enough = (count: number) => {
    const degrees = paired ? count - 1 : 2 * (count - 1)
    const shift = evidence.deviation === 0 ? Infinity : (visible * Math.sqrt(count)) / evidence.deviation
    return power(shift, studentQuantile(level, degrees), degrees) >= 0.8
  }
  // The probability grows with the number of replicates, so that halving finds the first that is enough.
  let low = fewestReplicates
  let high = 1000
  while (low < high) {
    const middle = (low + high) >> 1
    if (enough(middle)) high = middle
    else low = middle + 1
  }
  return low
}
