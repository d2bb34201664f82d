import type { ClockAnalysis, PairRecord } from '../results.ts'
import { pairFrom, ratioToFind } from './pairs.ts'
import { worstRatio } from './score.ts'

/** What a verdict needs to know besides the comparison itself. */
export interface VerdictContext {
  titles: Readonly<Record<string, string>>
  /** Whether anybody reached any target on any seed. */
  reached: boolean
  seeds: number
  fewestSeeds: number
}

/** Up to how many contenders a verdict tells the figures of; the table of pairs has all. */
const mostInWords = 2

/** `A`, `A and B`, `A, B and C`. */
export function listInWords(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

/** A ratio for a person: two digits after the point, and `at least 4` where it is limited to that. */
export function ratioInWords(ratio: number): string {
  if (ratio >= worstRatio - 1e-6) return `at least ${worstRatio}`
  if (ratio <= 1 / worstRatio + 1e-6) return `at most ${1 / worstRatio}`
  return ratio.toFixed(2)
}

/** The interval of a ratio: `95% interval 1.20 to 1.66`; beyond the limit of the ratios nothing can be told apart. */
export function intervalInWords({ low, high }: Pick<PairRecord, 'low' | 'high'>): string {
  const from = low <= 1 / worstRatio ? `${1 / worstRatio} or less` : Math.min(low, worstRatio).toFixed(2)
  const to = high === null || high >= worstRatio ? `${worstRatio} or more` : Math.max(high, 1 / worstRatio).toFixed(2)
  return `95% interval ${from} to ${to}`
}

/** The verdict of one clock in plain words: who wins, or that there is no evidence of a difference. */
export function verdictInWords(
  { clock, pairs, winner, leaders }: Pick<ClockAnalysis, 'clock' | 'pairs' | 'winner' | 'leaders'>,
  { titles, reached, seeds, fewestSeeds }: VerdictContext,
): string {
  const names = Object.keys(titles)
  const title = (name: string) => titles[name] ?? name
  const unit = clock === 'steps' ? 'steps' : 'time'
  if (names.length < 2) return 'There is only one contender, so there is nothing to compare.'
  if (!reached) return `Nobody reached a target on any seed, so there is no evidence of a difference by ${unit}.`
  const all = listInWords(names.map(title))
  if (seeds < fewestSeeds) {
    return `No evidence of a difference between ${all} by ${unit}: it takes at least ${fewestSeeds} report seeds to tell a difference from chance, and this race had ${seeds}.`
  }
  const against = (first: string, name: string) => {
    const pair = pairFrom(pairs, first, name)!
    return `${title(name)} needs ${ratioInWords(pair.ratio)} times as ${clock === 'steps' ? 'many steps' : 'much time'} (${intervalInWords(pair)})`
  }
  if (winner !== null) {
    const closest = names
      .filter((name) => name !== winner)
      .sort((a, b) => pairFrom(pairs, winner, a)!.ratio - pairFrom(pairs, winner, b)!.ratio)[0]!
    const next = names.length > 2 ? 'Its closest rival ' : ''
    return `${title(winner)} wins by ${unit}. ${next}${against(winner, closest)}.`
  }
  const first = leaders[0]!
  const sentences = [`No evidence of a difference between ${listInWords(leaders.map(title))} by ${unit}.`]
  const rivals = leaders.slice(1).sort((a, b) => pairFrom(pairs, first, a)!.ratio - pairFrom(pairs, first, b)!.ratio)
  if (rivals.length > 0) {
    const many = rivals.length > mostInWords
    const compared = (many ? rivals.slice(0, 1) : rivals).map((name) => against(first, name))
    sentences.push(`${many ? 'Closest to' : 'Against'} ${title(first)}, ${listInWords(compared)}.`)
    const needed = Math.max(...rivals.map((name) => pairFrom(pairs, first, name)!.seedsNeeded))
    if (needed > seeds) {
      sentences.push(
        `To show a ratio of ${ratioToFind}, about ${needed >= 1000 ? '1000 or more' : needed} report seeds would be needed.`,
      )
    }
  }
  const trailing = names
    .filter((name) => !leaders.includes(name))
    .sort((a, b) => pairFrom(pairs, first, a)!.ratio - pairFrom(pairs, first, b)!.ratio)
  if (trailing.length > mostInWords) {
    const [least, greatest] = [trailing[0]!, trailing.at(-1)!].map((name) =>
      ratioInWords(pairFrom(pairs, first, name)!.ratio),
    )
    sentences.push(
      `Behind ${title(first)}, by ratios from ${least} to ${greatest}: ${listInWords(trailing.map(title))}.`,
    )
  } else if (trailing.length > 0) {
    sentences.push(`Behind ${title(first)}: ${listInWords(trailing.map((name) => against(first, name)))}.`)
  }
  return sentences.join(' ')
}
