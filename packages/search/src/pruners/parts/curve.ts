import type { SeenTrial } from '../../study/view.ts'

/** The smallest value that a trial has reported up to a step, NaN left out; `null` without any. */
export function bestUpTo({ reports }: SeenTrial, step: number): number | null {
  let best: number | null = null
  for (const report of reports) {
    if (report.step > step) break
    if (!Number.isNaN(report.value)) best = Math.min(best ?? Infinity, report.value)
  }
  return best
}

/** The complete trial with the smallest value of the first objective; among equal ones the earliest to end. */
export function bestComplete(ended: readonly SeenTrial[]): SeenTrial | undefined {
  return ended
    .filter(({ state }) => state === 'complete')
    .reduce<SeenTrial | undefined>(
      (best, trial) => (best === undefined || trial.losses![0]! < best.losses![0]! ? trial : best),
      undefined,
    )
}
