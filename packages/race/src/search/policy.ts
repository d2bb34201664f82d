/** Something that can be trained: an optimizer with a setting. */
export interface Candidate {
  /** Candidates of one group are settings of one optimizer. */
  readonly group: string
  /** Values of the tuned hyperparameters. */
  readonly setting: Readonly<Record<string, number>>
  /**
   * What earlier studies say of it, from 0 (as good as the best they saw) upwards; `null` when they say nothing.
   */
  readonly prior: number | null
}

/** A run of a candidate on a training seed, as far as it has got. */
export interface CandidateRun {
  /** Index of the candidate. */
  readonly candidate: number
  /** Number of the training seed, from 0; all candidates share the seeds. */
  readonly seed: number
  /** Gradients computed so far. */
  readonly gradients: number
  /** `paused` runs can be advanced. */
  readonly outcome: 'paused' | 'finished' | 'diverged' | 'failed'
  /** Gradients at each evaluation and the metric there, in the order of time. Smaller is better: a metric to be maximized is negated. */
  readonly curve: { readonly gradients: readonly number[]; readonly metric: readonly number[] }
}

/** Everything that has been measured, in an order that does not depend on who was faster. */
export interface Snapshot {
  readonly candidates: readonly Candidate[]
  readonly runs: readonly CandidateRun[]
  /** Gradients of a full run. */
  readonly horizon: number
  /** Gradients that may be spent in all. */
  readonly budget: number
  /** Gradients between two evaluations. */
  readonly evaluateEvery: number
  /** The group that must get `guaranteed` full runs of its own, whatever it looks like. */
  readonly baseline: { readonly group: string; readonly guaranteed: number }
}

/** Advance the run of a candidate on a seed until it has computed that many gradients. */
export interface Job {
  readonly candidate: number
  readonly seed: number
  readonly until: number
}

/** Where a policy is, for people. */
export interface Standing {
  /** Such as `rung 2 of 4` or `finalists`. */
  readonly stage: string
  /** Candidates still in, best first. */
  readonly alive: readonly number[]
}

/** What a policy wants next. */
export interface Proposal<State> {
  readonly state: State
  /** Jobs that may run at the same time; none when the policy has ended. */
  readonly jobs: readonly Job[]
  readonly standing: Standing
  /** Once it has ended: the candidate it picks, and the best of the baseline; `null` when nothing finished. */
  readonly pick: number | null
  readonly pickOfBaseline: number | null
}

/**
 * Decides which candidates are trained how far. A pure function of what was measured, a seed and a state of its own (plain JSON): the
 * same three give the same proposal in every process, and a study can be taken up again from a file. It never sees what a job costs in
 * time, only gradients. `next` is asked when all jobs of the proposal before have ended.
 */
export interface Policy<State> {
  readonly name: string
  /** In a sentence, for reports. */
  readonly description: string
  start(snapshot: Snapshot, seed: number): State
  next(state: State, snapshot: Snapshot): Proposal<State>
}
