import type { Random } from '@fallline/search/internal'
import type { CandidateRun, Job, Snapshot } from '../policy.ts'

/** The runs of every candidate by seed. */
export type Runs = ReadonlyMap<number, ReadonlyMap<number, CandidateRun>>

/** The runs of a snapshot by candidate and seed. */
export function runsOf({ runs }: Snapshot): Runs {
  const found = new Map<number, Map<number, CandidateRun>>()
  for (const run of runs) {
    const mine = found.get(run.candidate) ?? new Map<number, CandidateRun>()
    found.set(run.candidate, mine.set(run.seed, run))
  }
  return found
}

/** Thirds of gradients do not add up exactly. */
const rounding = 1e-6

/**
 * The metric of a run when it had computed `gradients`, from the last evaluation before; `Infinity` when it had diverged or failed by
 * then, or had no evaluation yet.
 */
export function metricAt(run: CandidateRun | undefined, gradients: number): number {
  if (run === undefined) return Infinity
  const { outcome, curve } = run
  if ((outcome === 'diverged' || outcome === 'failed') && run.gradients <= gradients + rounding) return Infinity
  const last = curve.gradients.findLastIndex((at) => at <= gradients + rounding)
  return last < 0 ? Infinity : curve.metric[last]!
}

/** The metric at the end of a run on a seed; `Infinity` unless it has finished. */
export function finalMetric(run: CandidateRun | undefined): number {
  return run?.outcome === 'finished' ? (run.curve.metric.at(-1) ?? Infinity) : Infinity
}

/**
 * What a candidate is judged by: the mean over seeds of the metric at the end. A run that did not finish makes it `Infinity`.
 */
export function meanFinal(runs: Runs, candidate: number, seeds: number): number {
  let sum = 0
  for (let seed = 0; seed < seeds; seed++) sum += finalMetric(runs.get(candidate)?.get(seed))
  return sum / seeds
}

/** Items by a score, smallest first; equal ones stay in their order, infinite ones come last. */
export function sortedBy<Item>(items: readonly Item[], score: (item: Item) => number): Item[] {
  const scored = items.map((item) => ({ item, value: score(item) }))
  scored.sort((a, b) => (a.value === b.value ? 0 : a.value - b.value))
  return scored.map(({ item }) => item)
}

/** The jobs that bring candidates to `until` on a seed, without those that have got there or have ended. */
export function jobsTo(runs: Runs, candidates: readonly number[], seed: number, until: number): Job[] {
  return candidates
    .filter((candidate) => {
      const run = runs.get(candidate)?.get(seed)
      return run === undefined || (run.outcome === 'paused' && run.gradients < until - rounding)
    })
    .map((candidate) => ({ candidate, seed, until }))
}

/** The place of every item by a score, from 0 for the smallest. */
export function placesOf(items: readonly number[], score: (item: number) => number): Map<number, number> {
  return new Map(sortedBy(items, score).map((item, place) => [item, place]))
}

/** How far two scores order items alike: the rank correlation of Spearman (1904), from -1 to 1; 0 for fewer than two items. */
export function agreementOf(
  items: readonly number[],
  first: (item: number) => number,
  second: (item: number) => number,
): number {
  const [one, other] = [placesOf(items, first), placesOf(items, second)]
  const center = (items.length - 1) / 2
  let products = 0
  let squares = 0
  for (const item of items) {
    products += (one.get(item)! - center) * (other.get(item)! - center)
    squares += (one.get(item)! - center) ** 2
  }
  return squares > 0 ? products / squares : 0
}

/**
 * Candidates in an order of which every beginning is spread over the groups: one of each group, then a second of each, and so on, groups
 * and candidates in random order.
 */
export function spread({ candidates }: Snapshot, among: readonly number[], source: Random): number[] {
  const groups = new Map<string, number[]>()
  for (const index of source.shuffle(among)) {
    const { group } = candidates[index]!
    groups.set(group, [...(groups.get(group) ?? []), index])
  }
  const members = [...groups.values()]
  const longest = Math.max(0, ...members.map(({ length }) => length))
  return Array.from({ length: longest }, (_, turn) =>
    source.shuffle(members.flatMap((group) => group[turn] ?? [])),
  ).flat()
}
