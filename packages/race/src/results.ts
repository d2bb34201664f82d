import type { SearchRange } from 'fallline'
import type { MachineRecord, TaskRecord } from './environment.ts'
import type { StudyRun } from './protocol/study.ts'
import type { Setting } from './search/space.ts'
import type { ProfilePoint } from './statistics/score.ts'
import type { Curve, NonFinite } from './training/training.ts'

/** Version of the format of `results.json`; a file of another version is never resumed. */
export const resultsVersion = 2

/**
 * What a verdict is about. `optimizers`: optimizers with their ranges, tuned anew in every one of several independent studies, so that the
 * luck of the tuning is in the intervals. `settings`: the settings that one tuning found, on fresh seeds.
 */
export type Claim = 'optimizers' | 'settings'

/** One training run. */
export interface RunRecord extends Omit<StudyRun, 'arrivals'> {
  contender: string
  /** Number of the study, from 0. */
  study: number
  /** What happened, unless the run finished; `stack` where an error was thrown. */
  message?: string
  stack?: string
  /** Optimizer steps taken, gradients computed (a loss alone counts as a third) and steps left out because of numbers that were not finite. */
  steps: number
  gradients: number
  skipped: number
  curve: Curve
  /** Test metric after the last step; `null` for runs of the tuning and unless the run finished. */
  test: number | null
  /** Gradients until the validation metric met each target, as first seen; `null` for a miss, and for all where the run did not finish. */
  gradientsToTarget: (number | null)[]
  milliseconds: number
}

/** One contender as it was entered. */
export interface ContenderRecord {
  name: string
  title: string
  paper?: { title: string; authors: string; year: number; arxiv?: string; url?: string }
  /** `elementwise`, `reduction`, `global` or `matrix`; see `describe`. */
  kind?: string
  stateBytesPerParameter?: number
  bytesPerParameter?: number
  /** The ranges that were tuned over. */
  search: Readonly<Record<string, SearchRange>>
  /** The learning-rate schedule in words. */
  schedule: string
  /** The contender as code, with `SETTING` where the hyperparameters go. */
  code: string
  /** Gradients that a step computes; a loss alone counts as a third where the task can give it. */
  gradientsPerStep: number
  /** In words: the optimizer of the parameters that this one does not take, and what its learning rate is. */
  fallback?: string
  /** Milliseconds from the rule to a kernel, for every setting that was compiled. */
  compileMilliseconds: number[]
}

/** Costs of the micro-race: medians of blocks that were run interleaved in random order. */
export interface CostRecord {
  /** Training steps in every block. */
  stepsPerBlock: number
  /** Milliseconds of one gradient, block by block, all contenders together. */
  gradient: number[]
  /** Milliseconds of one optimizer step with its further evaluations, block by block, by contender. */
  step: Record<string, number[]>
}

/** Which contenders are compared by what: gradients computed, or the time that they and the steps take on this machine. */
export type Clock = 'gradients' | 'time'

/** The comparison of two contenders by one clock. */
export interface PairRecord {
  first: string
  second: string
  /** How many times the gradients (time) of `first` does `second` need: geometric mean, each limited to four times the best of the two. */
  ratio: number
  /** Interval of the ratio at the level at which Holm's procedure tested it; `null` for no bound. */
  low: number
  high: number | null
  /** Two-sided p-value of a ratio of 1, before Holm's procedure, and the level it was compared with. */
  p: number
  level: number
  /** The contender in front, where Holm's procedure claims one. */
  ahead: string | null
  /** How many of the targets tell the two apart. */
  targets: number
  /** Replicates that would show a ratio of 1.3 four times out of five; `null` where the spacing of the evaluations hides it. */
  needed: number | null
}

/** The comparison of the whole field by one clock. */
export interface ClockAnalysis {
  clock: Clock
  /** `medians[contender][target]`: median over fresh runs of the gradients (milliseconds) to the target, `null` for infinite. */
  medians: Record<string, (number | null)[]>
  /** Mean over targets of max(0, (4 - r) / 3), r the ratio of the medians to the best of the field; `null` for those that never ran. */
  scores: Record<string, number | null>
  profiles: Record<string, ProfilePoint[]>
  pairs: PairRecord[]
  /** The contender that is ahead of every other one, if there is one. */
  winner: string | null
  /** Those in front between whom there is no evidence of a difference; only the winner, where there is one. */
  leaders: string[]
  /** `difference`: somebody is ahead, and no edge puts it into doubt; `edge`: a range that is too narrow does; `none`. */
  finding: 'difference' | 'edge' | 'none'
  /** In words. */
  verdict: string
}

/** How the final metric of the tuning trials depends on the learning rate. */
export interface SensitivityRecord {
  /** One entry per trial of every study; `metric` is `null` where the trial diverged or failed. */
  trials: { study: number; trial: number; learningRate: number; metric: number | null }[]
  /** Share of all trials whose metric is within 5 % of the contender's best. */
  withinFivePercent: number
}

/** A hyperparameter whose best value was the outermost that was tried, at the bound of its range or beyond it. */
export interface EdgeRecord {
  contender: string
  hyperparameter: string
  side: 'minimum' | 'maximum'
  /** Median over the studies concerned of the selected value. */
  value: number
  /** In how many studies, of how many. */
  studies: number
  of: number
}

/** What one contender was measured to be with its selected settings. */
export interface SummaryRecord {
  /** The selected trial and setting of every study; `null` where no trial finished. */
  selected: ({ trial: number; setting: Setting } | null)[]
  /** The setting to use: the selected one of the study whose fresh runs reached the most, `null` when there is none. */
  setting: Setting | null
  /** Median over the studies of the selected trial's validation metric in the tuning, which is better than fresh seeds will show. */
  tuningValidation: number | null
  /** Median over fresh runs; a run that did not finish counts as the worst there is, `null` when that is the median. */
  validation: number | null
  test: number | null
  /** Lowest and highest over the fresh runs that finished. */
  validationRange: [number, number] | null
  testRange: [number, number] | null
  /** Number of runs that diverged or failed, of all runs of this contender, and of steps that were skipped. */
  diverged: number
  failed: number
  skipped: number
  /** Milliseconds: median gradient plus median optimizer step, and the optimizer step alone. */
  wholeStep: number | null
  optimizerStep: number | null
  sensitivity: SensitivityRecord
  /** Why the contender took no part in the comparison. */
  failure: string | null
}

/** Whether fewer gradients pay for a dearer step. */
export interface BreakEvenRecord {
  /** The contender that needs fewer gradients. */
  fewer: string
  other: string
  /** Gradients of `other` / gradients of `fewer`. */
  ratio: number
  /** Cost per gradient of `fewer` / that of `other`. */
  costRatio: number
  /** `ratio / costRatio`: how many times dearer the step of `fewer` could become before the advantage is gone; below 1 it is gone. */
  overhead: number
  /** Milliseconds of gradient from which fewer gradients pay, at these step costs; 0 when they always do. */
  gradientMilliseconds: number
}

/** Everything that follows from the runs. */
export interface Analysis {
  gradients: ClockAnalysis
  /** Absent when no step cost could be measured. */
  time: ClockAnalysis | null
  /** Number of the look at these data, from 1, and what it may spend of the probability of a false claim. */
  look: number
  level: number
  summaries: Record<string, SummaryRecord>
  breakEven: BreakEvenRecord[]
  edges: EdgeRecord[]
  /** Remarks on the fairness and the validity of this race, in words. */
  remarks: string[]
}

/** What decides the runs of a race. */
export interface ProtocolRecord {
  claim: Claim
  /** Seed of the study. */
  seed: number
  studies: number
  /** Tuning trials of every study. */
  trials: number
  /** How many of the best trials are rerun on how many more seeds before one is selected. */
  finalists: number
  finalSeeds: number
  /** Fresh seeds of every study. */
  seeds: number
  /** Shares of the budget at which the schedules of fresh runs end. */
  horizons: number[]
  nonFinite: NonFinite
}

/** Everything about a race, as in `results.json`. Plain JSON; `null` stands for infinite or absent. */
export interface RaceResults {
  format: 'fallline race results'
  version: typeof resultsVersion
  /** False as long as runs are missing; the same settings resume such a race. */
  complete: boolean
  /** Hash of everything that decides the runs, but for the contenders and the numbers of studies and seeds, which may grow. */
  fingerprint: string
  /** The same for every contender. */
  contenderFingerprints: Record<string, string>
  versions: { fallline: string; race: string }
  /** Name of the backend that ran the optimizers. */
  backend: string
  /** ISO 8601. */
  startedAt: string
  finishedAt: string | null
  machine: MachineRecord
  task: TaskRecord & {
    targets: number[]
    /** Whether the targets are those that the task declares, or were given by the user. */
    targetsFrom: 'task' | 'options'
    /** Gradients of a run, and between two evaluations. */
    steps: number
    evaluateEvery: number
  }
  protocol: ProtocolRecord
  contenders: ContenderRecord[]
  /** Optimizers that were asked for and not raced. */
  leftOut: { name: string; reason: string }[]
  runs: RunRecord[]
  costs: CostRecord | null
  /** Why the step costs could not be measured. */
  costFailure: string | null
  /** What was compared at every look so far. */
  looks: { contenders: string[]; studies: number; seeds: number; at: string }[]
  analysis: Analysis | null
}
