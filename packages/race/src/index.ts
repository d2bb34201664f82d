// The types of jax-js name Float16Array.
/// <reference lib="esnext.float16" preserve="true" />
/**
 * A fair race between optimizers on your own task: protocol, verdict and report.
 *
 * @packageDocumentation
 */

export { ChooseInterrupted, type ChooseOptions, choose } from './choose/choose.ts'
export { type CodeTarget, codeFor } from './choose/code.ts'
export { renderChooseReport } from './choose/report.ts'
export type { ChooseResults } from './choose/results.ts'
export type { ChooseProgress } from './choose/study.ts'
export type { MachineRecord, TaskRecord } from './environment.ts'
export { defineJaxTask, type HostArray, type Jax, type JaxArray, type JaxArrays, type JaxTask } from './jax.ts'
export { loadTask, TaskLoadError } from './load-task.ts'
export { helpRace, RaceInterrupted, type RaceOptions, type RaceProgress, race } from './race.ts'
export { renderReport } from './report/report.ts'
export type {
  Analysis,
  BreakEvenRecord,
  Claim,
  Clock,
  ClockAnalysis,
  ContenderRecord,
  CostRecord,
  EdgeRecord,
  PairRecord,
  ProtocolRecord,
  RaceResults,
  RunRecord,
  SensitivityRecord,
  SummaryRecord,
} from './results.ts'
export type { SearchSpace, Setting } from './search/space.ts'
export { type Served, type ServeOptions, serve } from './serve/server.ts'
export type { ProfilePoint } from './statistics/score.ts'
export { StorageError } from './store.ts'
export { type BatchPosition, defineTask, type Split, type Statistics, type Task } from './task.ts'
export { builtinTasks } from './tasks/index.ts'
export { BrokenTaskError } from './training/check-task.ts'
export type { Contender, ContenderLike } from './training/contenders.ts'
export type { Curve, NonFinite, Outcome } from './training/training.ts'
