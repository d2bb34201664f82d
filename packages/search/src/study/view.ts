import type { Json } from '../json.ts'
import type { Point } from '../space/dimension.ts'
import type { Space } from '../space/space.ts'
import type { Report, TrialState } from './trial.ts'

/** What is to become small or large. */
export interface Objective {
  readonly name: string
  readonly direction: 'minimize' | 'maximize'
}

/** What a value is multiplied with so that smaller is better. */
export const signOf = (direction: Objective['direction']): 1 | -1 => (direction === 'minimize' ? 1 : -1)

/** What a longer trial uses more of, such as epochs. */
export interface Resource {
  /** Such as `epoch`. */
  readonly name: string
  /** The least that a trial is worth judging after. */
  readonly minimum: number
  /** A whole trial. */
  readonly maximum: number
}

/** A trial as samplers and pruners see it: everything that is to become large has been negated. */
export interface SeenTrial {
  readonly number: number
  readonly state: TrialState
  readonly point: Point
  /** Smaller is better, one for each objective; may be infinite. `null` without values. */
  readonly losses: readonly number[] | null
  /** Smaller is better, by step; may be infinite, or NaN. */
  readonly reports: readonly Report[]
  readonly until: number | null
  /** By how much each constraint on the outcome is violated: at most 0 is met. */
  readonly violations: readonly number[]
  readonly cost: number | null
  readonly note: Json
}

/** What is known of a study at one moment. */
export interface View {
  readonly space: Space
  readonly objectives: readonly Objective[]
  readonly resource: Resource | null
  /** Seed of the study. */
  readonly seed: number
  /** Trials that have ended, in the order in which they did. Later views of one study have the same array, longer. */
  readonly ended: readonly SeenTrial[]
  /** How many of them have a result: they are complete or pruned. */
  readonly results: number
  /** Trials that have not: running, waiting and paused, by number. */
  readonly open: readonly SeenTrial[]
  /** The trial of a number; `undefined` when it is not seen. */
  trial(number: number): SeenTrial | undefined
}

/** The sum of the constraints that are violated: 0 for a trial that meets all. */
export function violation(trial: SeenTrial): number {
  return trial.violations.reduce((sum, value) => sum + Math.max(0, value), 0)
}
