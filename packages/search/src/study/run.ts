import type { Json } from '../json.ts'
import type { Sampler } from '../samplers/sampler.ts'
import type { Space } from '../space/space.ts'
import type { Storage, StudyRecord } from '../storage/storage.ts'
import type { Outcome } from './outcome.ts'
import type { TrialRecord } from './trial.ts'
import type { View } from './view.ts'

/** A trial in the hands of those who work on it. */
export interface Trial<Values = unknown> {
  readonly number: number
  /** The values as the space was written. */
  readonly parameters: Values
  /** A seed of its own for what is random in the objective: the same for the same number in every study of one seed. */
  readonly seed: number
  /** How far to go in the unit of the resource; `null`: to the end. */
  readonly until: number | null
  /** How far it had come when it was paused: where to go on from a checkpoint; 0 for a new trial. */
  readonly from: number
  /** Aborted when the trial is to end as soon as it can. */
  readonly signal: AbortSignal
  /** The record as it was when the trial was taken up. */
  readonly record: TrialRecord
  /**
   * Says how good the first objective is by now.
   *
   * @returns whether to stop: throw `stopped` or tell the trial pruned
   * @throws RangeError for a step that is not above the last one, or outside of the resource
   */
  report(step: number, value: number): Promise<'continue' | 'stop'>
  /** Notes something about the trial. */
  annotate(attribute: string, value: Json): Promise<void>
}

/** What an objective throws, or returns, when a report has told it to stop. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
  constructor() {
    super('the trial was stopped by its pruner')
  }
}

/** There is nothing to try: not yet, or never again. */
export class NothingToTry extends Error {
  override readonly name = 'NothingToTry'
  /** Whether there never will be. */
  readonly forever: boolean
  constructor(reason: string, forever: boolean) {
    super(reason)
    this.forever = forever
  }
}

/** What can be said when a trial is asked for. */
export interface AskOptions {
  readonly signal?: AbortSignal
  readonly window?: number
  readonly results?: number
}

/** What running an objective needs of a study. */
export interface Working<Values> {
  readonly record: StudyRecord
  readonly space: Space<Values>
  readonly storage: Storage
  readonly sampler: Sampler
  ask(options: AskOptions): Promise<Trial<Values>>
  tell(trial: Trial<Values>, outcome: Outcome): Promise<void>
  pause(trial: Trial<Values>, outcome: Outcome): Promise<void>
  prune(trial: Trial<Values>): Promise<void>
  fail(trial: Trial<Values>, reason: string): Promise<void>
  giveBack(trial: Trial<Values>): Promise<void>
  trials(): Promise<readonly TrialRecord[]>
  trial(number: number): Promise<TrialRecord>
  view(): Promise<View>
}
