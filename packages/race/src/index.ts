/**
 * A fair race between optimizers on your own task: protocol, verdict and report.
 *
 * @packageDocumentation
 */

export { analyse, type Selection, selectTrial } from './analysis.ts'
export { defineJaxTask, type HostArray, type Jax, type JaxArray, type JaxArrays, type JaxTask } from './jax.ts'
export { type Contender, raceSchedule, warmupShare } from './training/contenders.ts'
export type { EdgeAlarm, SearchSpace, Setting } from './search/space.ts'
export { RaceInterrupted, type RaceOptions, type RaceProgress, race, raceDefaults, TaskLoadError } from './race.ts'
export { renderReport } from './report/report.ts'
export type {
  Analysis,
  BreakEvenRecord,
  Clock,
  ClockAnalysis,
  ContenderRecord,
  CostRecord,
  MachineRecord,
  Outcome,
  PairRecord,
  RaceResults,
  RunRecord,
  SensitivityRecord,
  SummaryRecord,
} from './results.ts'
export { compareField, type FieldEntry, type FieldOptions } from './statistics/field.ts'
export { type ProfilePoint, profileCurve, profileScore, ratiosToBest } from './statistics/score.ts'
export { fileNames, StorageError } from './store.ts'
export { type BatchPosition, builtinTasks, defineTask, loadTask, type Split, type Task } from './task.ts'
