import type { Candidate } from '../search/policy.ts'
import { shiftedSobol } from '../search/sequence.ts'
import { type SearchSpace, type Setting, sameSpace, settingAt } from '../search/space.ts'
import type { Prior } from './prior.ts'

/** Settings of every contender, unless asked for otherwise: those of the recorded table. */
export const settingsPerContender = 8

/**
 * A setting of a contender: a point of the shifted Sobol sequence over its ranges. The sequence is the same in all studies, so that what
 * earlier ones found for a setting speaks of the same values.
 *
 * @param index number of the setting, from 0
 */
export function candidateSetting(search: SearchSpace, index: number): Setting {
  return settingAt(search, shiftedSobol(Object.keys(search), 1, 'recording'), index)
}

/**
 * The candidates of a study, contender by contender, each with its settings in the order of the sequence. What earlier studies say is
 * only used where the ranges are the ones they drew from; elsewhere the numbers of the settings mean other values.
 *
 * @param contenders names and ranges
 * @param prior what earlier studies found, such as `readPrior(task)`; `null` to use none
 * @param settings settings per contender
 */
export function candidatesOf(
  contenders: readonly { readonly name: string; readonly search: SearchSpace }[],
  prior: Prior | null,
  settings: number = settingsPerContender,
): Candidate[] {
  if (!Number.isInteger(settings) || settings < 1) {
    throw new RangeError(`settings per contender must be a whole number of at least 1, not ${settings}`)
  }
  return contenders.flatMap(({ name, search }) => {
    const earlier = prior?.optimizers[name]
    const scores = earlier && sameSpace(earlier.search, search) ? earlier.scores : []
    return Array.from({ length: settings }, (_, index) => ({
      group: name,
      setting: candidateSetting(search, index),
      prior: scores[index] ?? null,
    }))
  })
}
