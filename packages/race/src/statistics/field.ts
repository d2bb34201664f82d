import type { Claim, Clock, ClockAnalysis, PairRecord } from '../results.ts'
import { holm, intervalAt, type PairEvidence, replicatesNeeded, weigh } from './comparison.ts'
import { median } from './describe.ts'
import type { Arrival } from './ratios.ts'
import { profileCurve, profileScore, ratiosToBest } from './score.ts'
import { verdictInWords } from './verdict.ts'

/** A ratio that a race should be able to show. */
export const ratioToFind = 1.3

/** One contender's fresh runs. */
export interface FieldEntry {
  name: string
  title: string
  /** `gradients[replicate][run][target]`: when each target was reached, in gradients. */
  gradients: readonly (readonly (readonly Arrival[])[])[]
  /** The same in optimizer steps. */
  steps: readonly (readonly (readonly Arrival[])[])[]
  /** Milliseconds of a whole step in each block of the micro-race; absent where it could not be measured. */
  costs?: readonly number[]
  /** The setting as code, for a claim about settings. */
  code: string
  /** Whether it has fresh runs at all. */
  ran: boolean
  /** Whether its best values lie at the edge of what was tried. */
  edge: boolean
}

/** How a field is compared. */
export interface FieldOptions {
  claim: Claim
  /** Probability of a false claim that this look may spend. */
  level: number
  /** Tuning trials of a study, for the words. */
  trials: number
}

/** Smallest relative difference in time per step that the clock of a shared machine can be trusted with. */
export const clockTrust = 0.05

/** Quantile of Student's t with 8 degrees of freedom at 99 %: nine blocks of the micro-race. */
const blockQuantile = 3.355

/**
 * Compares a field by the clocks of gradients and of time: medians, scores, profiles, all pairs with their intervals, and the verdicts.
 * Every pair by every clock is one hypothesis of one procedure of Holm. All entries must have the same replicates and targets in the same
 * order. Those that never ran take no part.
 */
export function compareField(
  entries: readonly FieldEntry[],
  options: FieldOptions,
): { gradients: ClockAnalysis; time: ClockAnalysis | null } {
  const racing = entries.filter(({ ran }) => ran)
  const timed = racing.filter(({ costs }) => costs !== undefined)
  const hypotheses = [
    ...pairsOf(racing).map(([first, second]) => ({ clock: 'gradients' as const, first, second })),
    ...pairsOf(timed).map(([first, second]) => ({ clock: 'time' as const, first, second })),
  ].map((pair) => ({ ...pair, evidence: evidenceOf(pair.clock, pair.first, pair.second, options.claim) }))
  const decisions = holm(
    hypotheses.map(({ evidence }) => evidence.p),
    options.level,
  )
  const records = hypotheses.map(({ clock, first, second, evidence }, index) => ({
    clock,
    record: recordOf(first.name, second.name, evidence, decisions[index]!, options.claim),
  }))
  const of = (clock: Clock, taking: readonly FieldEntry[], before?: ClockAnalysis) =>
    analysisOf(
      clock,
      entries,
      taking,
      records.filter((each) => each.clock === clock).map(({ record }) => record),
      options,
      before,
    )
  const gradients = of('gradients', racing)
  return { gradients, time: timed.length === 0 ? null : of('time', timed, gradients) }
}

function pairsOf(entries: readonly FieldEntry[]): [FieldEntry, FieldEntry][] {
  return entries.flatMap((first, index) =>
    entries.slice(index + 1).map((second): [FieldEntry, FieldEntry] => [first, second]),
  )
}

function evidenceOf(clock: Clock, first: FieldEntry, second: FieldEntry, claim: Claim): PairEvidence {
  // Seeds of one setting share initial values and data; the tunings of two contenders share little.
  const paired = claim === 'settings'
  if (clock === 'gradients') return weigh({ first: first.gradients, second: second.gradients, paired })
  const logs = [first, second].map(({ costs }) => costs!.map(Math.log))
  const differences = logs[0]!.map((log, block) => logs[1]![block]! - log)
  const center = differences.reduce((sum, value) => sum + value, 0) / differences.length
  const squares = differences.reduce((sum, value) => sum + (value - center) ** 2, 0)
  const error = Math.sqrt(squares / Math.max(1, differences.length - 1) / differences.length)
  return weigh({
    first: first.steps,
    second: second.steps,
    paired,
    cost: {
      first: Math.log(median(first.costs!)),
      second: Math.log(median(second.costs!)),
      doubt: clockTrust + blockQuantile * error,
    },
  })
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null)

function recordOf(
  first: string,
  second: string,
  evidence: PairEvidence,
  { rejected, level }: { rejected: boolean; level: number },
  claim: Claim,
): PairRecord {
  const [low, high] = intervalAt(evidence, level)
  const needed = replicatesNeeded(evidence, ratioToFind, level, claim === 'settings')
  return {
    first,
    second,
    ratio: Math.exp(evidence.estimate),
    low: Math.exp(low),
    high: finiteOrNull(Math.exp(high)),
    p: evidence.p,
    level,
    ahead: rejected ? (evidence.low.mean > 0 ? first : second) : null,
    targets: evidence.targets,
    needed: finiteOrNull(needed),
  }
}

function analysisOf(
  clock: Clock,
  entries: readonly FieldEntry[],
  racing: readonly FieldEntry[],
  pairs: PairRecord[],
  options: FieldOptions,
  before?: ClockAnalysis,
): ClockAnalysis {
  const targets = entries.find(({ ran }) => ran)?.gradients[0]?.[0]?.length ?? 0
  const medians = racing.map(({ gradients, steps, costs }) => {
    const runs = (clock === 'gradients' ? gradients : steps).flat()
    const cost = clock === 'time' ? median(costs!) : 1
    return Array.from({ length: targets }, (_, target) => median(runs.map((run) => run[target]!.by)) * cost)
  })
  const ratios = ratiosToBest(medians)
  const named = <T>(of: (index: number) => T, otherwise: T): Record<string, T> =>
    Object.fromEntries(
      entries.map((entry) => [entry.name, racing.includes(entry) ? of(racing.indexOf(entry)) : otherwise]),
    )
  const lookup = new PairLookup(pairs)
  const names = racing.map(({ name }) => name)
  const { winner, leaders } = standing(names, lookup)
  const claimed = winner !== null && names.length > 1
  const losers = names.filter((name) => !leaders.includes(name))
  const someoneAhead = claimed || losers.length > 0
  const doubtful = racing.some(({ name, edge }) => edge && losers.includes(name))
  const analysis: Omit<ClockAnalysis, 'verdict'> = {
    clock,
    medians: named((index) => medians[index]!.map(finiteOrNull), Array<null>(targets).fill(null)),
    scores: named<number | null>((index) => profileScore(ratios[index]!), null),
    profiles: named((index) => profileCurve(ratios[index]!), []),
    pairs,
    winner,
    leaders,
    finding: someoneAhead ? (doubtful ? 'edge' : 'difference') : 'none',
  }
  const replicates = racing[0]?.gradients.length ?? 0
  return { ...analysis, verdict: verdictInWords(analysis, { entries: racing, lookup, replicates, before, ...options }) }
}

/** Pairs by the names of both, whichever way round they are stored. */
export class PairLookup {
  readonly #pairs = new Map<string, PairRecord>()

  constructor(pairs: readonly PairRecord[]) {
    for (const pair of pairs) {
      this.#pairs.set(JSON.stringify([pair.first, pair.second]), pair)
      this.#pairs.set(JSON.stringify([pair.second, pair.first]), turned(pair))
    }
  }

  /** How many times the gradients (time) of `first` the contender `second` needs, with its interval. */
  of(first: string, second: string): PairRecord | undefined {
    return this.#pairs.get(JSON.stringify([first, second]))
  }
}

function turned(pair: PairRecord): PairRecord {
  const low = pair.high === null ? 0 : 1 / pair.high
  const high = pair.low > 0 ? 1 / pair.low : null
  return { ...pair, first: pair.second, second: pair.first, ratio: 1 / pair.ratio, low, high }
}

function standing(names: readonly string[], pairs: PairLookup): { winner: string | null; leaders: string[] } {
  if (names.length === 0) return { winner: null, leaders: [] }
  const others = (name: string) => names.filter((other) => other !== name)
  const ahead = (name: string, other: string) => pairs.of(name, other)!.ahead === name
  const winner = names.find((name) => others(name).every((other) => ahead(name, other))) ?? null
  if (winner !== null && names.length > 1) return { winner, leaders: [winner] }
  // In front are the one with the best mean ratio to the others, of those nobody is ahead of, and all it is not ahead of.
  const advantage = new Map(
    names.map((name) => [name, others(name).reduce((sum, other) => sum + Math.log(pairs.of(name, other)!.ratio), 0)]),
  )
  const better = (a: string, b: string) => advantage.get(b)! - advantage.get(a)!
  const unbeaten = names.filter((name) => others(name).every((other) => !ahead(other, name)))
  const first = (unbeaten.length > 0 ? unbeaten : [...names]).sort(better)[0]!
  return { winner: null, leaders: names.filter((name) => name === first || !ahead(first, name)).sort(better) }
}
