import type { Json } from '../json.ts'
import type { Point } from '../space/dimension.ts'
import type { Parameters } from '../space/space.ts'

/**
 * Where a trial is.
 *
 * - `waiting`: nobody works on it: it was enqueued, given back, or is to be tried again;
 * - `running`: somebody holds it;
 * - `paused`: it has been trained as far as it was asked to be, and can be continued;
 * - `complete`: it has its values;
 * - `pruned`: it was stopped, because what it reported did not promise enough;
 * - `failed`: its objective threw, or gave no number;
 * - `stale`: its workers died, as often as attempts are allowed;
 * - `abandoned`: somebody gave it up; its parameters are never proposed again.
 */
export type TrialState = 'waiting' | 'running' | 'paused' | 'complete' | 'pruned' | 'failed' | 'stale' | 'abandoned'

/** The states in which a trial stays. */
export const ends = ['complete', 'pruned', 'failed', 'stale', 'abandoned'] as const satisfies readonly TrialState[]

/** Whether a trial in this state stays in it. */
export function isEnd(state: TrialState): state is (typeof ends)[number] {
  return (ends as readonly TrialState[]).includes(state)
}

/** An intermediate value of the first objective. */
export interface Report {
  /** How far the trial was, in the unit of the study's resource. */
  readonly step: number
  readonly value: number
}

/** A trial as it is kept. Records are never changed; a change makes a new one. */
export interface TrialRecord {
  /** From 0, in the order in which trials were begun. */
  readonly number: number
  readonly state: TrialState
  /** How often somebody has taken it up; 0 while nobody has. */
  readonly attempt: number
  /** How often somebody who worked on it gave no sign of life any more. */
  readonly lost: number
  readonly parameters: Parameters
  readonly point: Point
  /** How far it is asked to go, in the unit of the resource; `null`: to the end. */
  readonly until: number | null
  readonly reports: readonly Report[]
  /** The values of the objectives in their order; those of a paused trial are of where it is. `null` while there are none. */
  readonly values: readonly number[] | null
  /** Constraints on the outcome, by name: at most 0 is met. */
  readonly constraints: Readonly<Record<string, number>>
  /** What the objective says that it cost, for example seconds; `null` when it says nothing. */
  readonly cost: number | null
  /** What its sampler wants to remember of it. */
  readonly note: Json
  /** Its point was proposed when so many trials had ended: those whose `ended` is smaller. `null` when nobody proposed it. */
  readonly seen: number | null
  /** How many trials had ended before it did; `null` while it has not. */
  readonly ended: number | null
  /** Who worked on it last. */
  readonly worker: string | null
  /** Why it failed, or was given up. */
  readonly error: string | null
  /** Milliseconds since 1970 of its first beginning and its end. */
  readonly startedAt: number | null
  readonly endedAt: number | null
  /** What people and programs have noted about it. */
  readonly attributes: Readonly<Record<string, Json>>
}

/** The right to work on a trial. What is done with one that is no longer the newest of its trial is refused. */
export interface Lease {
  readonly trial: number
  readonly attempt: number
  readonly token: string
}
