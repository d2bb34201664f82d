import type { SearchRange } from 'fallline'
import type { EdgeAlarm, Setting } from './search/space.ts'
import type { ProfilePoint } from './statistics/score.ts'

/** Version of the format of `results.json`; a file of another version is never resumed. */
export const resultsVersion = 1

/** How one training run ended. */
export type Outcome = 'finished' | 'diverged' | 'failed'

/** One training run. */
export interface RunRecord {
  phase: 'tuning' | 'report'
  contender: string
  /** Number of the point of the tuning sequence that gave the setting, from 0. */
  trial: number
  /** Training seed: initial values and order of the data. */
  seed: number
  setting: Setting
  /** `diverged`: loss, gradient or metric was no longer finite; `failed`: the task or the optimizer threw an error. */
  outcome: Outcome
  /** What happened, unless the run finished. */
  message?: string
  stepsTaken: number
  /** Evaluations: step, mean training loss since the evaluation before, validation metric. */
  curve: { step: number[]; loss: number[]; validation: number[] }
  /** Validation metric after the last step; `null` unless the run finished. */
  validation: number | null
  /** Test metric after the last step; `null` for tuning runs and unless the run finished. */
  test: number | null
  /** First evaluated step at which the validation metric met each target; `null` for a miss, which counts as infinite. */
  stepsToTarget: (number | null)[]
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
  /** The declared ranges that were tuned over. */
  search: Readonly<Record<string, SearchRange>>
  /** The learning-rate schedule in words. */
  schedule: string
  /** In words: the optimizer of the parameters that this one does not take, which is not tuned. */
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
  /** Milliseconds of one optimizer step, block by block, by contender. */
  step: Record<string, number[]>
}

/** Which contender is compared by what: steps, or steps times the median cost of a step. */
export type Clock = 'steps' | 'time'

/** The comparison of two contenders by one clock. */
export interface PairRecord {
  first: string
  second: string
  /** How many times the steps (time) of `first` does `second` need: geometric mean over seeds and targets, each limited to 1/4 ... 4. */
  ratio: number
  /** Interval of the ratio, 95 % for both clocks together; `null` for no bound. */
  low: number
  high: number | null
  /** The contender in front, where the interval excludes 1. */
  ahead: string | null
  /** About how many report seeds would show a ratio of 1.3 four times out of five. */
  seedsNeeded: number
}

/** The comparison of the whole field by one clock. */
export interface ClockAnalysis {
  clock: Clock
  /** `medians[contender][target]`: median over seeds of the steps (milliseconds) to the target, `null` for infinite. */
  medians: Record<string, (number | null)[]>
  /** Mean over targets of max(0, (4 - r) / 3), r the ratio to the best of the field. */
  scores: Record<string, number>
  profiles: Record<string, ProfilePoint[]>
  pairs: PairRecord[]
  /** The contender that is ahead of every other one, if there is one. */
  winner: string | null
  /** Those in front between whom there is no evidence of a difference; only the winner, where there is one. */
  leaders: string[]
  /** In words. */
  verdict: string
}

/** How the final metric of the tuning trials depends on the learning rate. */
export interface SensitivityRecord {
  /** One entry per trial; `metric` is `null` where the trial diverged or failed. */
  trials: { trial: number; learningRate: number; metric: number | null }[]
  /** Share of all trials whose metric is within 5 % of the contender's best. */
  withinFivePercent: number
}

/** What one contender was measured to be with its selected setting. */
export interface SummaryRecord {
  /** The selected trial, or `null` when no trial finished. */
  trial: number | null
  setting: Setting | null
  /** Validation metric of the selected trial in the tuning, which is better than fresh seeds will show. */
  tuningValidation: number | null
  /** Median over report seeds; a run that did not finish counts as the worst there is, `null` when that is the median. */
  validation: number | null
  test: number | null
  /** Lowest and highest over the report seeds that finished. */
  validationRange: [number, number] | null
  testRange: [number, number] | null
  /** Number of runs that diverged or failed, of all runs of this contender. */
  diverged: number
  failed: number
  /** Milliseconds: median gradient plus median optimizer step, and the optimizer step alone. */
  wholeStep: number | null
  optimizerStep: number | null
  sensitivity: SensitivityRecord
  /** Why the contender took no part in the report runs. */
  failure: string | null
}

/** Whether fewer steps pay for a dearer step. */
export interface BreakEvenRecord {
  /** The contender that needs fewer steps. */
  fewerSteps: string
  other: string
  /** Steps of `other` / steps of `fewerSteps`. */
  stepsRatio: number
  /** Cost of a whole step of `fewerSteps` / that of `other`. */
  costRatio: number
  /** `stepsRatio / costRatio`: how many times dearer the step of `fewerSteps` could become before the advantage is gone; below 1 it is gone. */
  overhead: number
  /** Milliseconds of gradient from which fewer steps pay, at these step costs; 0 when they always do. */
  gradientMilliseconds: number
}

/** Everything that follows from the runs. */
export interface Analysis {
  steps: ClockAnalysis
  /** Absent when no step cost could be measured. */
  time: ClockAnalysis | null
  summaries: Record<string, SummaryRecord>
  breakEven: BreakEvenRecord[]
  edgeAlarms: EdgeAlarm[]
  /** Remarks on the fairness and the validity of this race, in words. */
  remarks: string[]
}

/** The machine that a race ran on. */
export interface MachineRecord {
  node: string
  platform: string
  architecture: string
  processor: string
  cores: number
  memoryGigabytes: number
  loadAverage: number
}

/** Everything about a race, as in `results.json`. Plain JSON; `null` stands for infinite or absent. */
export interface RaceResults {
  format: 'fallline race results'
  version: typeof resultsVersion
  /** False as long as runs are missing; the same settings resume such a race. */
  complete: boolean
  /** Hash of everything that decides the results. */
  fingerprint: string
  versions: { fallline: string; race: string }
  /** Name of the backend that ran the optimizers. */
  backend: string
  /** ISO 8601. */
  startedAt: string
  finishedAt: string | null
  machine: MachineRecord
  task: {
    name: string
    title: string
    description: string
    metricName: string
    direction: 'minimize' | 'maximize'
    targets: number[]
    /** Whether the targets are those that the task declares, or were given by the user. */
    targetsFrom: 'task' | 'options'
    steps: number
    evaluateEvery: number
    parameters: Record<string, readonly number[]>
    parameterCount: number
  }
  protocol: {
    /** Seed of the study. */
    seed: number
    trials: number
    tuningSeeds: number[]
    reportSeeds: number[]
    sequence: { kind: string; dimensions: string[]; shift: Record<string, number> }
  }
  contenders: ContenderRecord[]
  runs: RunRecord[]
  costs: CostRecord | null
  /** Why the step costs could not be measured. */
  costFailure: string | null
  analysis: Analysis | null
}
