import type { PointSequence } from './sequence.ts'
import { type Limits, positionOf, type SearchSpace, type Setting, settingAt, valueAtPosition } from './space.ts'

/** Share of the trials that stay inside the given ranges; the rest may leave them where the best value lies at their edge. */
const insideShare = 0.75

/** How many of a number of trials stay inside the given ranges. */
export function insideTrials(trials: number): number {
  return trials < 3 ? trials : Math.ceil(insideShare * trials)
}

/**
 * The setting of a trial. The first three quarters are points of the sequence. After that, where the best value so far is the outermost
 * that was tried, the next trial lies one distance of neighbouring trials further out, beyond the bound if need be, and keeps the other
 * values of the best; otherwise it is the next point of the sequence. So the number of trials is the same for all.
 *
 * @param index number of the trial, from 0
 * @param trials how many there will be
 * @param tried settings of the trials before
 * @param best the best of them, `null` as long as nothing can be said
 */
export function proposeTrial(
  space: SearchSpace,
  sequence: PointSequence,
  limits: Limits,
  index: number,
  trials: number,
  tried: readonly Setting[],
  best: Setting | null,
): Setting {
  const inside = insideTrials(trials)
  const next = settingAt(space, sequence, index)
  if (index < inside || best === null) return next
  const beyond: Record<string, number> = { ...best }
  let left = false
  for (const [name, side] of outermost(space, tried, best)) {
    const range = space[name]!
    if (range.scale === 'choice') continue
    const position = positionOf(range, best[name]!)!
    const wanted = valueAtPosition(range, position + (side === 'minimum' ? -1 : 1) / inside)
    const limit = limits[name]
    if (limit && !isValid(wanted, limit)) continue
    beyond[name] = wanted
    left = true
  }
  return left ? beyond : next
}

function isValid(value: number, { minimum, maximum, aboveMinimum, belowMaximum }: Limits[string]): boolean {
  return (aboveMinimum ? value > minimum : value >= minimum) && (belowMaximum ? value < maximum : value <= maximum)
}

/** The hyperparameters of which no value beyond the best one was tried, with the side where nothing was tried. */
export function outermost(
  space: SearchSpace,
  tried: readonly Setting[],
  best: Setting,
): [name: string, side: 'minimum' | 'maximum'][] {
  return Object.entries(space).flatMap(([name, range]): [string, 'minimum' | 'maximum'][] => {
    if (range.scale === 'choice') return []
    const values = tried.map((setting) => setting[name]!)
    const value = best[name]!
    if (new Set(values).size < 2) return []
    if (values.every((other) => other >= value)) return [[name, 'minimum']]
    if (values.every((other) => other <= value)) return [[name, 'maximum']]
    return []
  })
}
