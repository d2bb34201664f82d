import { medianPruner } from './median.ts'
import type { Pruner } from './pruner.ts'

/** How long a trial may be without gain. */
export interface PatienceOptions {
  /** In steps, however many reports these have. Default: 5. */
  readonly steps?: number
  /** Least difference that counts as a gain. Default: 0. */
  readonly tolerance?: number
}

/**
 * Stops a trial that another pruner would stop, if it has also not become better for some steps. A trial that has reported nothing but
 * NaN is without gain since its first report.
 *
 * @param pruner the other one. Default: `medianPruner()`
 * @throws RangeError for steps or a tolerance below 0
 */
export function patientPruner(
  pruner: Pruner = medianPruner(),
  { steps = 5, tolerance = 0 }: PatienceOptions = {},
): Pruner {
  for (const [name, value] of Object.entries({ steps, tolerance })) {
    if (!(value >= 0)) throw new RangeError(`patient: ${name} must be 0 or more, not ${value}`)
  }
  return {
    name: 'patient',
    decide(view, trial) {
      let [best, gained] = [Infinity, trial.reports[0]?.step ?? 0]
      for (const { step, value } of trial.reports) if (value < best - tolerance) [best, gained] = [value, step]
      const without = (trial.reports.at(-1)?.step ?? 0) - gained
      return without >= steps && without > 0 ? pruner.decide(view, trial) : 'continue'
    },
  }
}
