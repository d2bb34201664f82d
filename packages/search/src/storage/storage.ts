import type { Json } from '../json.ts'
import type { Point } from '../space/dimension.ts'
import type { Parameters, SpaceRecord } from '../space/space.ts'
import type { Lease, Report, TrialRecord } from '../study/trial.ts'
import type { Objective, Resource } from '../study/view.ts'

/** A study as it is kept. */
export interface StudyRecord {
  readonly name: string
  readonly seed: number
  readonly space: SpaceRecord
  readonly objectives: readonly Objective[]
  readonly resource: Resource | null
  /** Name of the sampler that began it. */
  readonly sampler: string
  /** What people and programs have noted about it. */
  readonly attributes: Readonly<Record<string, Json>>
}

/** What has changed in a study. */
export interface Changes {
  /** To ask for later changes with. */
  readonly version: number
  /** Records of the trials that have changed, as they are now, by number. */
  readonly trials: readonly TrialRecord[]
  /** How many trials there are. */
  readonly count: number
  /** Whether the lease of a running trial has run out, so that there is something to `expire`. */
  readonly late: boolean
  /** What the sampler keeps, and how often it has been replaced. */
  readonly sampler: { readonly version: number; readonly state: Json }
}

/** Who works, and for how long it may be silent. */
export interface Holder {
  /** Shown to people: a host and a process, for example. */
  readonly worker: string
  /** Milliseconds after which a lease without a heartbeat has run out; Infinity: never. */
  readonly patience: number
}

/** A proposal that is to become a running trial, if nothing has happened that would have changed it. */
export interface Start {
  /** Expected number of trials: the number of the new one; or the number of the paused trial to continue. */
  readonly trial: number
  readonly continues: boolean
  readonly point: Point
  readonly parameters: Parameters
  readonly until: number | null
  readonly note: Json
  readonly seen: number | null
  /** The version of the sampler's state that the proposal was made from, and the state that it leaves; `null` leaves it as it is. */
  readonly sampler: { readonly version: number; readonly state: Json } | null
}

/** A trial that somebody may work on now. */
export interface Held {
  readonly record: TrialRecord
  readonly lease: Lease
}

/** How work on a trial ends. */
export interface Ending {
  readonly state: 'complete' | 'pruned' | 'failed' | 'paused' | 'abandoned'
  readonly values: readonly number[] | null
  readonly constraints: Readonly<Record<string, number>>
  readonly cost: number | null
  readonly error: string | null
}

/**
 * Where studies are kept. Every method is one transaction. Methods that take a lease answer `false`, and change nothing, when the lease
 * is not the newest of a running trial; so does `start` with `null` when its expectations do not hold. Times are the storage's own.
 * `testStorage` checks all that is said here.
 */
export interface Storage {
  /** Keeps a new study; when there is one of that name already, leaves it and gives its record. */
  create(record: StudyRecord): Promise<StudyRecord>
  /** The record of a study; `null` when there is none of that name. */
  find(name: string): Promise<StudyRecord | null>
  /** Names of all studies, in the order in which they were made. */
  names(): Promise<readonly string[]>
  /** Removes a study with everything that belongs to it. */
  remove(name: string): Promise<void>
  /** What has changed since a version; 0 gives everything. */
  changes(name: string, since: number): Promise<Changes>
  /** Takes the waiting trial of the smallest number; `null` when there is none. */
  claim(name: string, holder: Holder): Promise<Held | null>
  /** Begins a new trial, or goes on with a paused one. */
  start(name: string, holder: Holder, start: Start): Promise<Held | null>
  /** Adds a report. */
  report(name: string, lease: Lease, report: Report): Promise<boolean>
  /** Ends work on a trial. */
  end(name: string, lease: Lease, ending: Ending): Promise<boolean>
  /** Puts a trial back that has not been finished: it waits again, and this does not count as a loss. */
  giveBack(name: string, lease: Lease): Promise<boolean>
  /** Says that a trial is still worked on. */
  beat(name: string, lease: Lease): Promise<boolean>
  /** Lets trials whose leases have run out wait again, or be `stale` when that has happened so often; gives their numbers. */
  expire(name: string, attempts: number): Promise<readonly number[]>
  /** Adds waiting trials; gives their numbers. */
  enqueue(
    name: string,
    trials: readonly { readonly point: Point; readonly parameters: Parameters }[],
  ): Promise<readonly number[]>
  /** Adds trials that have ended elsewhere, numbered anew; gives their numbers. */
  add(name: string, records: readonly TrialRecord[]): Promise<readonly number[]>
  /** Notes something about a trial, or about the study when the trial is `null`. */
  annotate(name: string, trial: number | null, attribute: string, value: Json): Promise<void>
  /**
   * Hears of what others do in a study, so that those who have nothing to do need not ask again and again. A hint alone: what is heard may
   * mean nothing, and something may not be heard. Storages that cannot hear leave it out.
   */
  watch?(name: string): Watch
  /** Gives back what the storage holds of the machine. */
  close(): Promise<void>
}

/** What is heard of a study. */
export interface Watch {
  /** How often something has been heard. */
  readonly count: number
  /** Waits until more has been heard than a count, until an abort, or for so long; `deaf` milliseconds while nothing can be heard. */
  next(count: number, milliseconds: number, deaf: number, signal?: AbortSignal): Promise<void>
  close(): void
}

/** The error for a study that is not there. */
export function noStudy(name: string, names: readonly string[]): RangeError {
  return new RangeError(
    `there is no study '${name}' here: ${names.length === 0 ? 'there is none at all' : names.join(', ')}`,
  )
}
