import { wholeFrom } from '../../check.ts'
import type { Json } from '../../json.ts'
import type { Resource, SeenTrial, View } from '../../study/view.ts'
import { violation } from '../../study/view.ts'

/** How many trials go how far. */
export interface Rung {
  readonly count: number
  readonly until: number
}

/** What a scheduler notes with a trial. */
export interface RungNote {
  /** Which of its brackets, from 0. */
  readonly bracket: number
  /** Which of the levels of the resource the first rung is. */
  readonly first: number
  /** Its losses at the rungs that it has left, the lowest first. It is at the rung after them. */
  readonly losses: readonly number[]
  /** What the sampler of the points has noted. */
  readonly inner: Json
}

/** Its note, of a trial that a scheduler has begun; `null` for others. */
export function rungNote({ note }: SeenTrial): RungNote | null {
  return note !== null && typeof note === 'object' && 'bracket' in note ? (note as unknown as RungNote) : null
}

/**
 * Amounts of the resource, each `eta` times the one before, the last the maximum and the first not below the minimum. Whole where the
 * bounds are. They are counted by multiplication: logarithms lose a level of 243 by 3, 1000 by 10 and others.
 */
export function levelsOf({ minimum, maximum }: Resource, eta: number): readonly number[] {
  const factors = [1]
  // The small share takes in a maximum that rounding has put just below a multiple.
  while (minimum * factors[0]! * eta <= maximum * (1 + 1e-12)) factors.unshift(factors[0]! * eta)
  const whole = Number.isInteger(minimum) && Number.isInteger(maximum)
  return factors.map((factor) => Math.max(minimum, whole ? Math.round(maximum / factor) : maximum / factor))
}

/** @throws RangeError for eta that is not a whole number from 2 */
export function checkEta(name: string, eta: number): void {
  wholeFrom(name, 'eta', eta, 2)
}

/** The trials of each bracket by number. */
export function bracketsOf(view: View): ReadonlyMap<number, readonly SeenTrial[]> {
  const brackets = new Map<number, SeenTrial[]>()
  for (const trial of [...view.ended, ...view.open]) {
    const note = rungNote(trial)
    if (note === null) continue
    const bracket = brackets.get(note.bracket)
    if (bracket) bracket.push(trial)
    else brackets.set(note.bracket, [trial])
  }
  for (const bracket of brackets.values()) bracket.sort((a, b) => a.number - b.number)
  return brackets
}

/** The loss of a trial where it is, as it can be noted: the largest number for infinity and for outcomes that break a constraint. */
export function lossNow(trial: SeenTrial): number {
  const loss = violation(trial) > 0 ? Infinity : (trial.losses?.[0] ?? Infinity)
  return Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, loss))
}

/** The loss of a trial at a rung; `lost` when it never will have one, `pending` while it is on its way, `before` when it is at a lower one. */
export function lossAt(trial: SeenTrial, rung: number): number | 'lost' | 'pending' | 'before' {
  const { losses } = rungNote(trial)!
  if (rung < losses.length) return losses[rung]!
  if (trial.state === 'paused' || trial.state === 'complete') {
    if (rung === losses.length) return lossNow(trial)
    return trial.state === 'paused' ? 'before' : 'lost'
  }
  if (trial.state !== 'running' && trial.state !== 'waiting') return 'lost'
  return rung === losses.length ? 'pending' : 'before'
}

/** Those of some trials that have a loss at a rung, the best first and of equal ones the earliest. */
export function ranked(trials: readonly SeenTrial[], rung: number): readonly SeenTrial[] {
  const known = trials.flatMap((trial) => {
    const loss = lossAt(trial, rung)
    return typeof loss === 'number' ? [{ trial, loss }] : []
  })
  return known.sort((a, b) => a.loss - b.loss || a.trial.number - b.trial.number).map(({ trial }) => trial)
}

/** What is to be done next. */
export type Step =
  | { readonly kind: 'new'; readonly until: number }
  | { readonly kind: 'continue'; readonly trial: number; readonly until: number; readonly note: Json }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'done' }

/** What makes a trial go on to the next rung. */
export function promotion(trial: SeenTrial, until: number): Step {
  const note = rungNote(trial)!
  return { kind: 'continue', trial: trial.number, until, note: { ...note, losses: [...note.losses, lossNow(trial)] } }
}

/**
 * Successive halving of one bracket: the best trials of a rung, as many as the next one has places, go on when all of the rung have
 * been there. Trials that failed leave their places empty. Trials that have been at the next rung already need not go there again, so a
 * bracket can become wider and longer later.
 *
 * @param trials of the bracket by number
 * @param mayStart whether new trials can be begun; without them the first rung counts as full
 */
export function advance(
  bracket: number,
  trials: readonly SeenTrial[],
  rungs: readonly Rung[],
  mayStart: boolean,
): Step {
  const [first] = rungs
  if (trials.length < first!.count && mayStart) return { kind: 'new', until: first!.until }
  let members = trials.slice(0, first!.count)
  for (const [rung, { until }] of rungs.entries()) {
    const next = members.find((trial) => trial.state === 'paused' && lossAt(trial, rung) === 'before')
    if (next) return promotion(next, until)
    const pending = members.filter((trial) => lossAt(trial, rung) === 'pending' || lossAt(trial, rung) === 'before')
    if (pending.length > 0) {
      return {
        kind: 'wait',
        reason: `rung ${rung} of bracket ${bracket} waits for ${pending.length} of ${members.length} trials`,
      }
    }
    members = ranked(members, rung).slice(0, rungs[rung + 1]?.count ?? 0)
  }
  return { kind: 'done' }
}

/** What has been seen at each level of the resource: points with their losses. Trials of nobody's brackets count at the highest. */
export function seenByLevel(view: View, levels: number): readonly (readonly { trial: SeenTrial; loss: number }[])[] {
  const seen = Array.from({ length: levels }, (): { trial: SeenTrial; loss: number }[] => [])
  for (const trial of [...view.ended, ...view.open]) {
    const note = rungNote(trial)
    if (note === null) {
      if (trial.state === 'complete') seen[levels - 1]!.push({ trial, loss: lossNow(trial) })
      continue
    }
    for (let rung = 0; rung <= note.losses.length; rung++) {
      const loss = lossAt(trial, rung)
      if (typeof loss === 'number') seen[note.first + rung]?.push({ trial, loss })
    }
  }
  return seen
}
