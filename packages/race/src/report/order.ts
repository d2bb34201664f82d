import type { ContenderRecord, RaceResults } from '../results.ts'

/** Contenders in the order of their score by gradients; those that took no part come last. */
export function ranked({ contenders, analysis }: RaceResults): ContenderRecord[] {
  const score = ({ name }: ContenderRecord) => analysis!.gradients.scores[name] ?? -1
  return [...contenders].sort((a, b) => score(b) - score(a))
}

/** Index of the hardest target that somebody reaches in the median: it separates the contenders best. */
export function hardestReached({ contenders, task, analysis }: RaceResults): number {
  const reached = task.targets.map((_, index) =>
    contenders.some(({ name }) => (analysis!.gradients.medians[name]![index] ?? null) !== null),
  )
  return Math.max(0, reached.lastIndexOf(true))
}
