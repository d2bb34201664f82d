import type { ClockAnalysis, PairRecord } from '../results.ts'
import { fewestReplicates } from './comparison.ts'
import { type FieldEntry, type FieldOptions, type PairLookup, ratioToFind } from './field.ts'
import { worstRatio } from './ratios.ts'

/** What a verdict needs to know besides the comparison itself. */
export interface VerdictContext extends FieldOptions {
  entries: readonly FieldEntry[]
  lookup: PairLookup
  replicates: number
  /** The verdict of the clock before, of which only differences are told. */
  before?: ClockAnalysis | undefined
}

/** Up to how many contenders a verdict tells the figures of; the table of pairs has all. */
const mostInWords = 3

/** `A`, `A and B`, `A, B and C`; of many the first three and how many more there are. */
export function listInWords(items: readonly string[], most = 12): string {
  if (items.length < 2) return items[0] ?? ''
  if (items.length > most) return `${items.slice(0, 3).join(', ')} and ${items.length - 3} others`
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

/** A ratio for a person: two digits after the point, and `at least 4` where it is limited to that. */
export function ratioInWords(ratio: number): string {
  if (ratio >= worstRatio - 1e-6) return `at least ${worstRatio}`
  if (ratio <= 1 / worstRatio + 1e-6) return `at most ${1 / worstRatio}`
  return ratio.toFixed(2)
}

/** The interval of a ratio: `interval 1.20 to 1.66`; beyond the limit of the ratios nothing can be told apart. */
export function intervalInWords({ low, high }: Pick<PairRecord, 'low' | 'high'>): string {
  const from = low <= 1 / worstRatio ? `${1 / worstRatio} or less` : Math.min(low, worstRatio).toFixed(2)
  const to = high === null || high >= worstRatio ? `${worstRatio} or more` : Math.max(high, 1 / worstRatio).toFixed(2)
  return `interval ${from} to ${to}`
}

/**
 * The verdict of one clock in plain words: who is ahead and of whom, or that nobody is. It names what it compares: optimizers, tuned
 * anew in every study, or settings, which it prints.
 */
export function verdictInWords(
  analysis: Omit<ClockAnalysis, 'verdict'>,
  { entries, lookup, replicates, claim, trials, before }: VerdictContext,
): string {
  const { clock, winner, leaders } = analysis
  const much = clock === 'gradients' ? 'many gradients' : 'much time'
  const by = clock === 'gradients' ? 'gradients' : 'time'
  const entry = (name: string) => entries.find((each) => each.name === name)!
  const title = (name: string) =>
    claim === 'settings' ? `${entry(name).title} as ${entry(name).code}` : entry(name).title
  if (entries.length === 0) return 'No contender finished a trial, so there is nothing to compare.'
  if (entries.length === 1) return 'There is only one contender, so there is nothing to compare.'
  const replicate = claim === 'settings' ? 'fresh seed' : 'independent study'
  const counted = (count: number) =>
    `${count} ${count === 1 ? replicate : replicate === 'fresh seed' ? 'fresh seeds' : 'independent studies'}`
  const same = before?.winner === winner && [...before.leaders].sort().join() === [...leaders].sort().join()
  const reached = entries.some(({ gradients }) =>
    gradients.some((runs) => runs.some((run) => run.some(({ by }) => by < Infinity))),
  )
  if (!reached) return 'Nobody reached a target, so nobody is ahead: give easier targets or more steps.'
  if (replicates < fewestReplicates) {
    return `Nobody is called ahead: that takes at least ${counted(fewestReplicates)}, and this race had ${replicates}.`
  }
  const against = (first: string, name: string) => {
    const pair = lookup.of(first, name)!
    return `${entry(name).title} needs ${ratioInWords(pair.ratio)} times as ${much} (${intervalInWords(pair)})`
  }
  const nearest = (first: string, names: readonly string[]) =>
    [...names].sort((a, b) => lookup.of(first, a)!.ratio - lookup.of(first, b)!.ratio)
  const basis =
    claim === 'settings'
      ? `on ${counted(replicates)}`
      : `in ${counted(replicates)} of ${trials} tuning trial${trials === 1 ? '' : 's'} each over the ranges of the protocol`
  const sentences: string[] = []
  if (same && entries.length > 1) {
    const rivals = entries.map(({ name }) => name).filter((name) => name !== leaders[0])
    const shown = [...rivals]
      .sort((a, b) => lookup.of(leaders[0]!, a)!.ratio - lookup.of(leaders[0]!, b)!.ratio)
      .slice(0, mostInWords)
    const front =
      winner === null && leaders.length === entries.length ? 'nobody is ahead either' : 'the same are in front'
    return `By ${by} on this machine ${front}: beside ${entry(leaders[0]!).title}, ${listInWords(shown.map((name) => against(leaders[0]!, name)))}.`
  }
  const front = leaders[0]!
  const behind = nearest(
    front,
    entries.map(({ name }) => name).filter((name) => !leaders.includes(name)),
  )
  if (winner !== null) {
    const all = behind.length <= mostInWords ? listInWords(behind.map(title)) : `all ${behind.length} others`
    sentences.push(`${title(winner)} is ahead of ${all} by ${by}, ${basis}.`)
    const shown = behind.slice(0, mostInWords)
    const many = behind.length > shown.length ? 'Closest behind: ' : ''
    sentences.push(`${many}${shown.map((name) => against(winner, name)).join('; ')}.`)
  } else {
    sentences.push(
      leaders.length === entries.length
        ? `Nobody is ahead by ${by}: the differences between ${listInWords(leaders.map((name) => entry(name).title))} are no larger than chance allows, ${basis}.`
        : `${listInWords(leaders.map((name) => entry(name).title))} are in front by ${by}; between them the differences are no larger than chance allows, ${basis}.`,
    )
    const rivals = nearest(front, leaders.slice(1)).slice(0, mostInWords)
    sentences.push(`Beside ${title(front)}, ${listInWords(rivals.map((name) => against(front, name)))}.`)
    const needed = rivals.map((name) => lookup.of(front, name)!.needed)
    if (needed.some((count) => count === null)) {
      sentences.push(`Evaluations lie too far apart to see a ratio of ${ratioToFind} between some of them.`)
    } else {
      const count = Math.max(...needed.map((each) => each!))
      if (count > replicates) {
        sentences.push(
          `To show a ratio of ${ratioToFind} four times out of five, it would take about ${count >= 1000 ? '1000 or more' : counted(count)}.`,
        )
      }
    }
    if (behind.length > 0) {
      const shown = behind.slice(0, mostInWords)
      const more = behind.length - shown.length
      sentences.push(
        `Behind ${entry(front).title}: ${shown.map((name) => against(front, name)).join('; ')}${more > 0 ? `; and ${more} more` : ''}.`,
      )
    }
  }
  const edges = behind.filter((name) => entry(name).edge)
  if (edges.length > 0) {
    sentences.push(
      `Not settled: the best settings of ${listInWords(edges.map((name) => entry(name).title))} still lie at the edge of what was tried, so better ones may lie beyond.`,
    )
  }
  return sentences.join(' ')
}
