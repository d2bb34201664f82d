import { checkArguments, checkObject, finite, type Kind, oneOf, partOfWhole, stepsOrNone } from './arguments.ts'
import { checkReport, checkState, type ReportingSchedule } from './reporting.ts'

/** Arguments of {@link reduceOnPlateau}. */
export interface ReduceOnPlateauArguments {
  /** Value until the first reduction. */
  from: number
  /** Factor of a reduction, above 0 and below 1. Default: 0.1. */
  factor?: number
  /** Reports without improvement that are waited through; the next one reduces. 0 or more. Default: 10. */
  patience?: number
  /** Reports after a reduction during which nothing is counted, 0 or more. Default: 0. */
  cooldown?: number
  /** Smallest value. Default: 0. */
  minimum?: number
  /** Whether a smaller or a larger metric is better. Default: `'minimize'`. */
  direction?: 'minimize' | 'maximize'
  /** By how much a metric must be better than the best so far, 0 or more. Default: 1e-4. */
  threshold?: number
  /** Whether `threshold` is a share of the best metric or in its unit. Default: `'relative'`. */
  thresholdMode?: 'relative' | 'absolute'
}

/** What {@link reduceOnPlateau} remembers: all from which it continues. */
export type ReduceOnPlateauState = {
  /** The current value. */
  readonly value: number
  /** The best metric so far; 0 before the first report. */
  readonly best: number
  /** How many reports there were. */
  readonly reports: number
  /** Reports without improvement in a row. */
  readonly waited: number
  /** Reports of the cooldown that are left. */
  readonly cooling: number
}

const thresholdKind: Kind = {
  expected: 'a finite number, 0 or more',
  accepts: (value) => Number.isFinite(value) && (value as number) >= 0,
}

/**
 * Multiplies the value by a factor when a metric has stopped getting better, as PyTorch's `ReduceLROnPlateau`. Report the
 * metric after each evaluation; the next step uses the result. It gives the same value at all steps between reports.
 *
 * ```text
 * better   metric < best − threshold·|best|          'absolute': best − threshold; 'maximize': > best + …
 * better:  best ← metric, waited ← 0;                else waited ← waited + 1
 * cooling: waited ← 0 while reports of the cooldown are left
 * waited > patience: value ← max(minimum, factor·value), the cooldown begins, waited ← 0
 * ```
 *
 * Defaults are PyTorch's: factor 0.1, patience 10, cooldown 0, minimum 0, threshold 1e-4 relative. It differs in one
 * thing: a relative threshold of a negative best metric asks for improvement here too, where PyTorch's would
 * accept worse.
 *
 * @param options how it reduces.
 * @param saved what `save` gave, to continue from it. Default: nothing was reported yet.
 * @throws Error that names the argument when one does not make sense or the state is not one of `save`, and from `report`
 * when the metric is not finite.
 * @example
 * ```ts
 * import { reduceOnPlateau } from 'fallline'
 *
 * const learningRate = reduceOnPlateau({ from: 0.1, factor: 0.5, patience: 1 })
 * learningRate.at(1) // 0.1
 * for (const loss of [0.9, 0.8, 0.81, 0.82]) learningRate.report(loss)
 * learningRate.at(2) // 0.05
 *
 * const later = reduceOnPlateau({ from: 0.1, factor: 0.5, patience: 1 }, learningRate.save())
 * later.at(3) // 0.05
 * ```
 */
export function reduceOnPlateau(
  options: ReduceOnPlateauArguments,
  saved?: ReduceOnPlateauState,
): ReportingSchedule<ReduceOnPlateauState> {
  const given = {
    factor: 0.1,
    patience: 10,
    cooldown: 0,
    minimum: 0,
    direction: 'minimize' as const,
    threshold: 1e-4,
    thresholdMode: 'relative' as const,
    ...checkObject('reduceOnPlateau', options),
  }
  checkArguments('reduceOnPlateau', given, {
    from: finite,
    factor: partOfWhole,
    patience: stepsOrNone,
    cooldown: stepsOrNone,
    minimum: finite,
    direction: oneOf('minimize', 'maximize'),
    threshold: thresholdKind,
    thresholdMode: oneOf('relative', 'absolute'),
  })
  const { from, factor, patience, cooldown, minimum, direction, threshold, thresholdMode } = given
  let state = checkState('reduceOnPlateau', saved ?? { value: from, best: 0, reports: 0, waited: 0, cooling: 0 }, {
    value: finite,
    best: finite,
    reports: stepsOrNone,
    waited: stepsOrNone,
    cooling: stepsOrNone,
  })
  const sign = direction === 'minimize' ? 1 : -1
  const isBetter = (metric: number) => {
    const margin = thresholdMode === 'relative' ? threshold * Math.abs(state.best) : threshold
    return state.reports === 0 || sign * (state.best - metric) > margin
  }
  return {
    kind: 'reduceOnPlateau',
    get arguments() {
      return [options, { ...state }]
    },
    start: from,
    at: () => state.value,
    report(metric) {
      checkReport('reduceOnPlateau', metric)
      const better = isBetter(metric)
      const waited = better || state.cooling > 0 ? 0 : state.waited + 1
      const reduces = waited > patience
      state = {
        value: reduces ? Math.max(Math.min(minimum, state.value), factor * state.value) : state.value,
        best: better ? metric : state.best,
        reports: state.reports + 1,
        waited: reduces ? 0 : waited,
        cooling: reduces ? cooldown : Math.max(0, state.cooling - 1),
      }
    },
    save: () => ({ ...state }),
  }
}
