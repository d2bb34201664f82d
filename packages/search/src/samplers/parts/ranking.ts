import { type SeenTrial, violation } from '../../study/view.ts'

/** The first loss of a trial that has one; Infinity for those that failed or were stopped. */
export function lossOf({ state, losses }: SeenTrial): number {
  const loss = state === 'complete' ? losses?.[0] : undefined
  return loss === undefined || Number.isNaN(loss) ? Infinity : loss
}

/**
 * Orders trials, the better one first: those that meet all constraints by loss, then those that do not by how much they violate them (Deb
 * 2000, An Efficient Constraint Handling Method for Genetic Algorithms), then those without a loss or an infinite one.
 */
export function compare(a: SeenTrial, b: SeenTrial): number {
  const [lossA, lossB] = [lossOf(a), lossOf(b)]
  if ((lossA === Infinity) !== (lossB === Infinity)) return lossB === Infinity ? -1 : 1
  const [violationA, violationB] = [violation(a), violation(b)]
  if (violationA !== violationB) return violationA < violationB ? -1 : 1
  return lossA === lossB ? a.number - b.number : lossA < lossB ? -1 : 1
}

/** The trials, best first; equal ones by number. With a `count` the best so many of them. */
export function ranked(trials: readonly SeenTrial[], count: number = trials.length): SeenTrial[] {
  if (count >= trials.length) return [...trials].sort(compare)
  // Few of many: each is compared with the last of those kept, and most go no further.
  const kept: SeenTrial[] = []
  for (const trial of trials) {
    if (kept.length === count && (count === 0 || compare(trial, kept[count - 1]!) > 0)) continue
    let place = kept.length
    while (place > 0 && compare(trial, kept[place - 1]!) < 0) place--
    kept.splice(place, 0, trial)
    if (kept.length > count) kept.pop()
  }
  return kept
}
