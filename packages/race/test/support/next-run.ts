import { courseOf, type PlannedRun, type StudyPlan, type StudyRun } from '../../src/protocol/study.ts'

/** The run that comes next in a study, `null` when it is complete or nothing finished. */
export function nextRun(plan: StudyPlan, runs: readonly StudyRun[]): PlannedRun | null {
  return courseOf(plan, runs).runs.find(({ ended }) => ended === null)?.planned ?? null
}
