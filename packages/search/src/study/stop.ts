import type { Storage } from '../storage/storage.ts'
import type { View } from './view.ts'

/** Says when a study has done enough. */
export interface StopRule {
  /** In a few words, for messages. */
  readonly name: string
  /** Why to stop; `null`: go on. A pure function of the view. */
  reached(view: View): string | null
}

/** Stops when some trial has a value of the first objective that is at least as good. */
export function whenReached(value: number): StopRule {
  return {
    name: 'value reached',
    reached({ ended, objectives: [objective] }) {
      const target = objective!.direction === 'minimize' ? value : -value
      const hit = ended.find(({ state, losses }) => state === 'complete' && losses![0]! <= target)
      return hit ? `trial ${hit.number} has reached ${value}` : null
    },
  }
}

/**
 * Stops when the best value of the first objective has not become better by more than `tolerance` in so many complete trials.
 *
 * @param trials how many complete trials without gain
 * @param tolerance least difference that counts as a gain. Default: 0
 */
export function whenNoGain(trials: number, tolerance = 0): StopRule {
  if (!Number.isSafeInteger(trials) || trials < 1) {
    throw new RangeError(`whenNoGain: needs at least 1 trial, not ${trials}`)
  }
  return {
    name: 'no gain',
    reached({ ended }) {
      let [best, last, count] = [Infinity, 0, 0]
      for (const { state, losses } of ended) {
        if (state !== 'complete') continue
        count++
        if (losses![0]! < best - tolerance) [best, last] = [losses![0]!, count]
      }
      return count - last >= trials ? `no gain in ${count - last} trials` : null
    },
  }
}

/** The attribute of a study that says why it is stopped; absent or `null` while it is not. */
export const stopAttribute = 'stopped'

/** Milliseconds between two looks at whether a study is stopped. */
const look = 1000

/** Says why a study was stopped, `null` while it is not; asks its storage once a second at most. */
export function watchStop(storage: Storage, name: string): () => Promise<string | null> {
  let next = -Infinity
  let reason: string | null = null
  return async () => {
    if (Date.now() < next) return reason
    const stopped = (await storage.find(name))?.attributes[stopAttribute] ?? null
    reason = stopped === null ? null : `the study was stopped (${String(stopped)}), resume lets it go on`
    next = Date.now() + look
    return reason
  }
}
