import { random } from '@fallline/search/internal'
import type { PointSequence } from '../search/sequence.ts'
import type { Limits, SearchSpace, Setting } from '../search/space.ts'
import { insideTrials, proposeTrial } from '../search/trials.ts'
import { type Arrival, miss } from '../statistics/ratios.ts'
import { rank, type Trial } from '../statistics/selection.ts'
import type { Outcome } from '../training/training.ts'

/** What one run is for: a trial of the tuning, a rerun of one of the best trials on another seed, or a fresh run that is judged. */
export type Phase = 'tuning' | 'final' | 'report'

/** What of a run a study needs to know. */
export interface StudyRun {
  phase: Phase
  /** Number of the trial whose setting was run, from 0. */
  trial: number
  /** Training seed: initial values and order of the data. */
  seed: number
  /** Share of the budget at which the schedule of the learning rate ends. */
  horizon: number
  setting: Setting
  outcome: Outcome
  /** When each target was reached. */
  arrivals: readonly Arrival[]
  /** Validation metric after the last step, `null` unless the run finished. */
  validation: number | null
}

/** The tuning of one contender and the fresh runs of what it found. */
export interface StudyPlan {
  space: SearchSpace
  limits: Limits
  sequence: PointSequence
  trials: number
  /** How many of the best trials are rerun, and on which seeds. */
  finalists: number
  finalSeeds: readonly number[]
  tuningSeed: number
  reportSeeds: readonly number[]
  /** Shares of the budget at which schedules end in the fresh runs. */
  horizons: readonly number[]
  direction: 'minimize' | 'maximize'
}

/** What selecting a trial depends on. */
type Selecting = Pick<StudyPlan, 'trials' | 'finalists' | 'finalSeeds' | 'direction'>

/** A run that a study wants next. */
export type PlannedRun = Pick<StudyRun, 'phase' | 'trial' | 'seed' | 'horizon' | 'setting'>

/** How many runs a study takes. */
export function runsOf({
  trials,
  finalists,
  finalSeeds,
  reportSeeds,
  horizons,
}: Pick<StudyPlan, 'trials' | 'finalists' | 'finalSeeds' | 'reportSeeds' | 'horizons'>): number {
  return trials + Math.min(finalists, trials) * finalSeeds.length + reportSeeds.length * horizons.length
}

/** The seeds of a study: for the tuning, for reruns of the best, and fresh ones. Those of different studies have nothing in common. */
export function seedsOfStudy(seed: number, study: number, finals: number, reports: number) {
  const draw = (purpose: string) => random(seed, `${purpose} of study ${study}`).integer(1, 999_999_999)
  const list = (purpose: string, count: number) =>
    Array.from({ length: count }, (_, index) => draw(`${purpose} ${index}`))
  return { tuning: draw('tuning seed'), finals: list('seed of the best', finals), reports: list('fresh seed', reports) }
}

/**
 * The trial that a study selects, as far as its runs tell: by the quantity that races are judged by, and where the best were rerun by
 * all their seeds. `null` when no trial finished.
 */
export function selectTrial(plan: Selecting, runs: readonly StudyRun[]): number | null {
  const trials = trialsOf(plan, runs, 'tuning')
  if (trials.every(({ metrics }) => !metrics.some(Number.isFinite))) return null
  const order = rank(trials)
  const finals = finalistsOf(plan, order)
  const rerun = trialsOf(plan, runs, 'final')
  const complete = finals.filter((trial) => (rerun[trial]?.metrics.length ?? 0) === plan.finalSeeds.length)
  if (plan.finalSeeds.length === 0 || complete.length === 0) return order[0]!
  const joined = complete.map((trial) => ({
    arrivals: [...trials[trial]!.arrivals, ...rerun[trial]!.arrivals],
    metrics: [...trials[trial]!.metrics, ...rerun[trial]!.metrics],
  }))
  return complete[rank(joined)[0]!]!
}

function finalistsOf({ finalists, finalSeeds }: Selecting, order: readonly number[]): number[] {
  return finalSeeds.length === 0 ? [] : order.slice(0, finalists)
}

/** Trials by number, with those of their runs that belong to a phase. */
function trialsOf({ direction, trials }: Selecting, runs: readonly StudyRun[], phase: Phase): Trial[] {
  const sign = direction === 'minimize' ? 1 : -1
  const found: { arrivals: (readonly Arrival[])[]; metrics: number[] }[] = []
  for (let trial = 0; trial < trials; trial++) {
    const mine = runs.filter((run) => run.phase === phase && run.trial === trial)
    if (phase === 'tuning' && mine.length === 0) break
    found.push({
      arrivals: mine.map(({ arrivals }) => arrivals),
      metrics: mine.map(({ validation }) => (validation === null ? Infinity : sign * validation)),
    })
  }
  return found
}

/** What is known of a study: its runs in their order as far as those that have ended tell, and whether these are all there will be. */
export interface Course {
  readonly runs: readonly { readonly planned: PlannedRun; readonly ended: StudyRun | null }[]
  readonly whole: boolean
}

/**
 * The course of a study. A pure function of the runs so far, so that a study can be taken up again from a file, and be worked on by
 * several at a time.
 *
 * @param runs the runs of this contender in this study, in any order
 */
export function courseOf(plan: StudyPlan, runs: readonly StudyRun[]): Course {
  const { space, sequence, limits, trials, finalSeeds, tuningSeed, reportSeeds, horizons } = plan
  const known = new Map(runs.map((run) => [keyOf(run), run]))
  const course: Course['runs'][number][] = []
  const add = (planned: PlannedRun) => course.push({ planned, ended: known.get(keyOf(planned)) ?? null })
  const isOpen = () => course.some(({ ended }) => ended === null)
  const settings: Setting[] = []
  for (let trial = 0; trial < trials; trial++) {
    let setting = known.get(keyOf({ phase: 'tuning', trial, seed: tuningSeed, horizon: 1 }))?.setting
    if (setting === undefined) {
      const looksBack = trial >= insideTrials(trials)
      if (looksBack && isOpen()) return { runs: course, whole: false }
      const best = looksBack ? rank(trialsOf(plan, runs, 'tuning'))[0] : undefined
      setting = proposeTrial(
        space,
        sequence,
        limits,
        trial,
        trials,
        settings,
        best === undefined ? null : settings[best]!,
      )
    }
    settings.push(setting)
    add({ phase: 'tuning', trial, seed: tuningSeed, horizon: 1, setting })
  }
  if (isOpen()) return { runs: course, whole: false }
  if (selectTrial(plan, runs) === null) return { runs: course, whole: true }
  const finals = finalistsOf(plan, rank(trialsOf(plan, runs, 'tuning')))
  for (const seed of finalSeeds) {
    for (const trial of finals) add({ phase: 'final', trial, seed, horizon: 1, setting: settings[trial]! })
  }
  if (isOpen()) return { runs: course, whole: false }
  const trial = selectTrial(plan, runs)!
  for (const seed of reportSeeds) {
    for (const horizon of horizons) add({ phase: 'report', trial, seed, horizon, setting: settings[trial]! })
  }
  return { runs: course, whole: true }
}

/** What tells a run from the others of its study. */
function keyOf({ phase, trial, seed, horizon }: Omit<PlannedRun, 'setting'>): string {
  return phase === 'tuning' ? `${phase} ${trial}` : `${phase} ${trial} ${seed} ${horizon}`
}

/** When a run reached each target: with several horizons, at the one that reached it first. */
export function earliest(runs: readonly (readonly Arrival[])[], targets: number): Arrival[] {
  return Array.from({ length: targets }, (_, target) =>
    runs.map((run) => run[target]!).reduce((first, next) => (next.by < first.by ? next : first), miss),
  )
}
