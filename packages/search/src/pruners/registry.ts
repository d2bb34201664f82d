import { curveExtrapolation } from './curve-extrapolation.ts'
import { medianPruner } from './median.ts'
import { patientPruner } from './patient.ts'
import { percentilePruner } from './percentile.ts'
import type { Pruner } from './pruner.ts'
import { successiveHalvingStop } from './successive-halving-stop.ts'
import { thresholdPruner } from './threshold.ts'
import { wilcoxonPruner } from './wilcoxon.ts'

/** All pruners by name, each as it is made without options. */
export const pruners = {
  median: medianPruner,
  percentile: percentilePruner,
  threshold: thresholdPruner,
  patient: patientPruner,
  wilcoxon: wilcoxonPruner,
  successiveHalvingStop,
  curveExtrapolation,
} satisfies Readonly<Record<string, () => Pruner>>
