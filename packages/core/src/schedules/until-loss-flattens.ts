import { checkArguments, checkObject, finite, fraction, partOfWhole, steps, stepsOrNone } from './arguments.ts'
import { checkReport, checkState, type ReportingSchedule } from './reporting.ts'

/** Arguments of {@link untilLossFlattens}. */
export interface UntilLossFlattensArguments {
  /** The share of the fastest decrease so far below which the loss counts as flat, above 0 and below 1. Default: 0.1. */
  threshold?: number
  /** Reports between two looks at how far the average loss has fallen, 1 or more. Default: 50. */
  window?: number
  /** What stays of the average loss at a report, 0 to below 1. Default: 0.95. */
  decay?: number
}

/** What {@link untilLossFlattens} remembers: all from which it continues. */
export type UntilLossFlattensState = {
  /** The average loss; 0 before the first report. */
  readonly average: number
  /** How many reports there were. */
  readonly reports: number
  /** The average loss at the last look. */
  readonly before: number
  /** The largest decrease from one look to the next. */
  readonly fastest: number
  /** 1 when the loss has flattened, else 0. */
  readonly isFlat: number
}

/** More steps than a run has. */
const all = 1_000_000_000

/**
 * A number of steps that is endless as long as the loss falls, and 1 from when it falls slowly: for what is worth its cost only
 * at the beginning, such as the second-order steps of MKOR-H. Report the loss of every step.
 *
 * ```text
 * l ← β l + (1 - β) L                                     at every report; l ← L at the first
 * d ← l before - l;  d_max ← max(d_max, d)                at every `window`-th report
 * flat, for good, when d < threshold · d_max
 * ```
 *
 * ```ts
 * import { untilLossFlattens } from 'fallline'
 *
 * // To be given to mkor(sgd(), { hybrid: true, secondOrderSteps }).
 * const secondOrderSteps = untilLossFlattens({ window: 1, decay: 0 })
 * for (const loss of [5, 3, 2]) secondOrderSteps.report(loss)
 * secondOrderSteps.at(4) // 1000000000
 * secondOrderSteps.report(1.95)
 * secondOrderSteps.at(5) // 1
 * ```
 *
 * The paper of MKOR-H says that it "evaluates the changes in the loss function in different iterations" and switches by the rate of decrease;
 * neither it nor its code says how. The average is that of its training script; looking every `window` reports, and the comparison with
 * the fastest decrease, are inferred.
 *
 * Mozaffari, Li, Zhang, Mehri Dehnavi 2023, MKOR: Momentum-Enabled Kronecker-Factor-Based Optimizer Using Rank-1 Updates,
 * arXiv 2306.01685.
 *
 * @param options when the loss counts as flat.
 * @param saved what `save` gave, to continue from it. Default: nothing was reported yet.
 * @throws Error that names the argument when one does not make sense or the state is not one of `save`, and from `report`
 * when the loss is not finite.
 */
export function untilLossFlattens(
  options: UntilLossFlattensArguments = {},
  saved?: UntilLossFlattensState,
): ReportingSchedule<UntilLossFlattensState> {
  const given = { threshold: 0.1, window: 50, decay: 0.95, ...checkObject('untilLossFlattens', options) }
  checkArguments('untilLossFlattens', given, { threshold: partOfWhole, window: steps, decay: fraction })
  const { threshold, window, decay } = given
  let state = checkState('untilLossFlattens', saved ?? { average: 0, reports: 0, before: 0, fastest: 0, isFlat: 0 }, {
    average: finite,
    reports: stepsOrNone,
    before: finite,
    fastest: finite,
    isFlat: stepsOrNone,
  })
  return {
    kind: 'untilLossFlattens',
    get arguments() {
      return [options, { ...state }]
    },
    start: all,
    at: () => (state.isFlat ? 1 : all),
    report(loss) {
      checkReport('untilLossFlattens', loss)
      const isFirst = state.reports === 0
      const average = isFirst ? loss : decay * state.average + (1 - decay) * loss
      const reports = state.reports + 1
      const next = { ...state, average, reports, before: isFirst ? average : state.before }
      if (reports % window !== 0) {
        state = next
        return
      }
      const fallen = next.before - average
      const fastest = Math.max(next.fastest, fallen)
      const isFlat = state.isFlat || (fastest > 0 && fallen < threshold * fastest) ? 1 : 0
      state = { ...next, before: average, fastest, isFlat }
    },
    save: () => ({ ...state }),
  }
}
