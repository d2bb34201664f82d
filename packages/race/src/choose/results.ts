import type { MachineRecord, TaskRecord } from '../environment.ts'
import type { Candidate, CandidateRun } from '../search/policy.ts'
import type { Setting } from '../search/space.ts'
import type { NonFinite, TrainingState } from '../training/training.ts'
import type { CodeRecord } from './code.ts'

/** Version of the format of `choose.json`; a file of another version is never continued. */
export const chooseVersion = 1

/** A contender that takes part. */
export interface ChooseContender {
  name: string
  title: string
  paper?: { title: string; authors: string; year: number; arxiv?: string; url?: string }
  /** What the learning rate does after its warm-up. */
  schedule: 'cosine' | 'constant'
  /** Gradients a step computes, a loss alone as a third. */
  gradientsPerStep: number
  /** Optimizer steps of a full run: its gradients over those of a step. */
  steps: number
}

/** A contender that takes no part. */
export interface ExcludedContender {
  name: string
  title: string
  /** In words: `not raced: tasks do not give the input 'x'`, or what it threw. */
  reason: string
  /** Where it was thrown. */
  stack: string | null
}

/** A run of the study. `outcome` is `null` while it is paused. */
export interface StudyRun {
  /** Index of the candidate. */
  candidate: number
  /** Number of the training seed among those of the study. */
  seed: number
  state: TrainingState
  /** File in `checkpoints/` with what the optimizer saved where the run is paused; `null` when it has ended or the file is gone. */
  checkpoint: string | null
  milliseconds: number
  /** Gradients that were computed for it, those of a lost checkpoint twice. */
  spent: number
}

/** One decision of the policy. */
export interface Decision {
  stage: string
  /** Candidates still in, best first. */
  alive: number[]
  /** Runs that were begun or continued. */
  jobs: { candidate: number; seed: number; until: number }[]
  /** Gradients computed before it, in all. */
  spent: number
}

/** A run on a fresh seed. */
export interface FreshRun {
  candidate: number
  /** The training seed itself. */
  seed: number
  state: TrainingState
  /** Validation and test metric after the last step; `null` unless it finished. */
  validation: number | null
  test: number | null
  milliseconds: number
}

/** The comparison on fresh seeds, by the test that was fixed beforehand. */
export interface ConfirmationRecord {
  /** The test in words. */
  test: string
  /** Seeds on which the pick ended better, and of how many. */
  better: number
  count: number
  /** Chance of a difference as clear as this one between two equal ones. */
  p: number
  /** The level it is held against. */
  level: number
  confirmed: boolean
}

/** What follows for the person who asked. */
export interface Answer {
  outcome: 'confirmed' | 'not confirmed' | 'baseline' | 'nothing finished'
  /** Index of the recommended candidate; `null` when nothing finished. */
  recommended: number | null
  /** One or two sentences in plain words. */
  sentence: string
  /** Description without a claim: how soon, at which cost. */
  remarks: string[]
  code: CodeRecord | null
}

/** The candidate whose fresh runs were compared, and those runs. */
export interface FreshRecord {
  pick: number
  /** The best of the baseline; the same as `pick` when the baseline was picked. */
  baseline: number
  runs: FreshRun[]
}

/** Everything about a study, as in `choose.json`. Plain JSON. */
export interface ChooseResults {
  format: 'fallline choose results'
  version: typeof chooseVersion
  complete: boolean
  /** Hash of everything that decides the results but for the budget. */
  fingerprint: string
  versions: { fallline: string; race: string }
  /** ISO 8601. */
  startedAt: string
  finishedAt: string | null
  /** Time spent, interruptions left out. */
  milliseconds: number
  machine: MachineRecord
  task: TaskRecord
  protocol: {
    /** Seed of the study. */
    seed: number
    /** What was asked for. */
    asked: { runs: number } | { minutes: number }
    /** Budget in full runs, all together, after what was added. */
    runs: number
    /** Full runs added by `more`, one by one. */
    added: number[]
    /** How the number of runs follows from the minutes, in words. */
    speed: string | null
    /** Gradients of a full run, and between two evaluations. */
    horizon: number
    evaluateEvery: number
    /** Fresh seeds of the comparison. */
    confirmationSeeds: number
    /** Full runs for choosing and for the comparison. */
    split: { choosing: number; confirmation: number }
    /** Name of the baseline, and the full runs it is tuned with whatever it looks like. */
    baseline: { name: string; guaranteed: number }
    policy: { name: string; description: string }
    nonFinite: NonFinite
    /** Training seeds that the study has used, and those of the comparison. */
    studySeeds: number[]
    freshSeeds: number[]
  }
  contenders: ChooseContender[]
  excluded: ExcludedContender[]
  candidates: (Omit<Candidate, 'setting'> & { setting: Setting })[]
  runs: StudyRun[]
  decisions: Decision[]
  /** State of the policy after its last decision; JSON of its own. */
  policyState: unknown
  /** Once the policy has ended. */
  pick: number | null
  pickOfBaseline: number | null
  fresh: FreshRecord | null
  /** Comparisons before `more` was asked for; their seeds are not used again. */
  earlier: { fresh: FreshRecord; confirmation: ConfirmationRecord | null }[]
  confirmation: ConfirmationRecord | null
  answer: Answer | null
}

/** A run as policies see it: a metric that is to become large is negated. */
export function candidateRun({ candidate, seed, state }: StudyRun, direction: TaskRecord['direction']): CandidateRun {
  const { outcome, gradients, curve } = state
  const sign = direction === 'minimize' ? 1 : -1
  return {
    candidate,
    seed,
    gradients,
    outcome: outcome ?? 'paused',
    curve: { gradients: [...curve.gradients], metric: curve.validation.map((metric) => sign * metric) },
  }
}

/** Gradients computed in all: choosing and comparing. */
export function gradientsSpent({ runs, fresh, earlier }: ChooseResults): { choosing: number; confirmation: number } {
  const compared = [...earlier.map((record) => record.fresh), ...(fresh ? [fresh] : [])]
  return {
    choosing: runs.reduce((sum, run) => sum + run.spent, 0),
    confirmation: compared.flatMap((record) => record.runs).reduce((sum, run) => sum + run.state.gradients, 0),
  }
}

/** How far a candidate got in words, for tables: `kept to the end`, `dropped at rung 2 of 4`, `diverged at step 12`. */
export function fateOf(results: ChooseResults, candidate: number): string {
  const { decisions, runs, pick, pickOfBaseline, candidates, protocol } = results
  const mine = runs.filter((run) => run.candidate === candidate)
  if (mine.length === 0) return 'not tried'
  const ended = mine.find(({ state }) => state.outcome === 'failed' || state.outcome === 'diverged')
  if (ended) return `${ended.state.outcome} at step ${ended.state.step}`
  if (candidate === pick) return 'picked'
  if (candidate === pickOfBaseline) return 'best of the baseline'
  const last = decisions.findLastIndex(({ alive }) => alive.includes(candidate))
  if (last >= 0 && last === decisions.length - 1) return 'kept to the end'
  // The guaranteed runs of the baseline are no part of the competition.
  if (
    candidates[candidate]!.group === protocol.baseline.name &&
    mine.some(({ state }) => state.outcome === 'finished')
  ) {
    return 'tuning of the baseline'
  }
  const there = decisions[last] ?? decisions.find(({ jobs }) => jobs.some((job) => job.candidate === candidate))
  return there ? `dropped at ${there.stage}` : 'dropped'
}

/** How many optimizers had a run. */
export function triedOf({ runs, candidates }: ChooseResults): number {
  return new Set(runs.map(({ candidate }) => candidates[candidate]!.group)).size
}

/** Where a candidate stands: the metric at its furthest evaluation, over its seeds that got that far. */
export function standingOf(results: ChooseResults, candidate: number): { gradients: number; metric: number } | null {
  const curves = results.runs.filter((run) => run.candidate === candidate).map(({ state }) => state.curve)
  const furthest = Math.max(0, ...curves.map(({ gradients }) => gradients.at(-1) ?? 0))
  if (furthest === 0) return null
  const there = curves.flatMap(({ gradients, validation }) =>
    gradients.at(-1) === furthest ? [validation.at(-1)!] : [],
  )
  return { gradients: furthest, metric: there.reduce((sum, value) => sum + value, 0) / there.length }
}
