import type { Clock, ClockAnalysis, PairRecord } from '../results.ts'
import { fewestSeeds, ratioInterval, seedsNeeded } from './bootstrap.ts'
import { median } from './describe.ts'
import { pairFrom, ratioToFind } from './pairs.ts'
import { profileCurve, profileScore, ratiosToBest } from './score.ts'
import { verdictInWords } from './verdict.ts'

/** One contender's results in the report runs. */
export interface FieldEntry {
  name: string
  title: string
  /** `steps[seed][target]`: steps to the target, `Infinity` for a miss. */
  steps: readonly (readonly number[])[]
  /** Milliseconds of a whole step in each block of the micro-race; needed for the clock of time. */
  costs?: readonly number[]
}

/** How a field is compared. */
export interface FieldOptions {
  clock: Clock
  /** Steps between two evaluations. */
  evaluateEvery: number
  /** Seed of the resampling. */
  seed: number
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null)

/**
 * Compares a field by one clock: medians, scores, profiles, all pairs with their intervals, and the verdict.
 * All entries must have the same seeds and targets in the same order.
 */
export function compareField(entries: readonly FieldEntry[], options: FieldOptions): ClockAnalysis {
  const { clock, evaluateEvery, seed } = options
  const seeds = entries[0]?.steps.length ?? 0
  const targets = entries[0]?.steps[0]?.length ?? 0
  const medians = entries.map(({ steps, costs }) => {
    const cost = clock === 'time' ? median(costs ?? [1]) : 1
    return Array.from({ length: targets }, (_, target) => median(steps.map((row) => row[target]!)) * cost)
  })
  const ratios = ratiosToBest(medians)
  const pairs: PairRecord[] = entries.flatMap((first, index) =>
    entries.slice(index + 1).map((second): PairRecord => {
      const costs =
        clock === 'time' && first.costs && second.costs ? { first: first.costs, second: second.costs } : null
      const interval = ratioInterval({
        first: first.steps,
        second: second.steps,
        evaluateEvery,
        seed,
        ...(costs ? { costs } : {}),
      })
      const { ratio, low, high, seedDeviation } = interval
      const ahead = low > 1 ? first.name : high < 1 ? second.name : null
      const needed = seedsNeeded(seedDeviation, ratioToFind)
      return {
        first: first.name,
        second: second.name,
        ratio,
        low,
        high: finiteOrNull(high),
        ahead,
        seedsNeeded: needed,
      }
    }),
  )
  const { winner, leaders } = standing(entries, pairs)
  const analysis = {
    clock,
    medians: named(entries, (index) => medians[index]!.map(finiteOrNull)),
    scores: named(entries, (index) => profileScore(ratios[index]!)),
    profiles: named(entries, (index) => profileCurve(ratios[index]!)),
    pairs,
    winner,
    leaders,
  }
  const reached =
    medians.some((row) => row.some(Number.isFinite)) ||
    entries.some(({ steps }) => steps.some((row) => row.some(Number.isFinite)))
  const titles = Object.fromEntries(entries.map(({ name, title }) => [name, title]))
  return { ...analysis, verdict: verdictInWords(analysis, { titles, reached, seeds, fewestSeeds }) }
}

function named<T>(entries: readonly FieldEntry[], of: (index: number) => T): Record<string, T> {
  return Object.fromEntries(entries.map(({ name }, index) => [name, of(index)]))
}

function standing(entries: readonly FieldEntry[], pairs: readonly PairRecord[]) {
  const names = entries.map(({ name }) => name)
  const others = (name: string) => names.filter((other) => other !== name)
  const winner =
    names.find((name) => others(name).every((other) => pairFrom(pairs, name, other)?.ahead === name)) ?? null
  if (winner !== null && names.length > 1) return { winner, leaders: [winner] }

  // In front are the one with the best mean ratio to the others, of those nobody is ahead of, and all it is not ahead of.
  const advantage = (name: string) =>
    others(name).reduce((sum, other) => sum + Math.log(pairFrom(pairs, name, other)?.ratio ?? 1), 0)
  const unbeaten = names.filter((name) => others(name).every((other) => pairFrom(pairs, name, other)?.ahead !== other))
  const candidates = unbeaten.length > 0 ? unbeaten : names
  const first = [...candidates].sort((a, b) => advantage(b) - advantage(a))[0]
  const leaders = names.filter((name) => name === first || pairFrom(pairs, first!, name)?.ahead !== first)
  return { winner: null, leaders: leaders.sort((a, b) => advantage(b) - advantage(a)) }
}
