import { wholeFrom } from '../check.ts'
import { random } from '../random.ts'
import { spaceOf } from '../space/space.ts'
import type { TrialRecord } from '../study/trial.ts'
import { type Resource, type SeenTrial, signOf, type View } from '../study/view.ts'
import type { Pruner } from './pruner.ts'

/** How finished curves are replayed. */
export interface ReplayOptions {
  /** Whether reports are to become small. Default: `minimize`. */
  readonly direction?: 'minimize' | 'maximize'
  /** The resource of the study, for pruners that need it. Default: none. */
  readonly resource?: Resource | null
  /** In how many orders: the first is that of the records, others are drawn. Default: 1. */
  readonly orders?: number
  /** Default: 0. */
  readonly seed?: number
}

/** What a pruner would have done. */
export interface Replay {
  /** Complete trials with reports, which are those that were replayed. */
  readonly trials: number
  /** The number of the best of them; the earliest among equals. `null` without any. */
  readonly best: number | null
  readonly orders: number
  /** Share of the resource that would have been saved, the mean over the orders. */
  readonly saved: number
  /** How many trials would have been stopped, the mean over the orders. */
  readonly stopped: number
  /** In how many of the orders the best would have been stopped. */
  readonly bestStopped: number
  /** By how much the best that is left is worse than the best, the mean over the orders; Infinity when nothing is left in one of them. */
  readonly regret: number
}

/**
 * Replays the curves of complete trials through a pruner as if they were run one after the other, each seeing those before it as it
 * left them.
 *
 * @throws RangeError for orders that are not a whole number from 1
 */
export function replayPruner(
  records: readonly TrialRecord[],
  pruner: Pruner,
  { direction = 'minimize', resource = null, orders = 1, seed = 0 }: ReplayOptions = {},
): Replay {
  wholeFrom('replayPruner', 'orders', orders, 1)
  const sign = signOf(direction)
  const curves = records
    .filter(({ state, reports }) => state === 'complete' && reports.length > 0)
    .map(
      (record): SeenTrial => ({
        number: record.number,
        state: 'complete',
        point: record.point,
        losses: record.values!.map((value, index) => (index === 0 ? sign * value : value)),
        reports: record.reports.map(({ step, value }) => ({ step, value: sign * value })),
        until: record.until,
        violations: Object.values(record.constraints),
        cost: record.cost,
        note: record.note,
      }),
    )
  const [first, ...others] = curves
  if (!first) return { trials: 0, best: null, orders, saved: 0, stopped: 0, bestStopped: 0, regret: 0 }
  const best = others.reduce((a, b) => (b.losses![0]! < a.losses![0]! ? b : a), first)
  const whole = curves.reduce((sum, { reports }) => sum + reports.at(-1)!.step, 0)
  const view = { space: spaceOf({ dimensions: [], constraints: [] }), objectives: [{ name: 'value', direction }] }
  let [used, stopped, bestStopped, regret] = [0, 0, 0, 0]
  for (let order = 0; order < orders; order++) {
    const queue = order === 0 ? curves : random(seed, `order ${order}`).shuffle(curves)
    const ended = run(queue, pruner, { ...view, resource, seed, open: [] })
    used += ended.reduce((sum, { reports }) => sum + reports.at(-1)!.step, 0)
    stopped += ended.filter(({ state }) => state === 'pruned').length
    if (ended.find(({ number }) => number === best.number)!.state === 'pruned') bestStopped++
    const left = ended.reduce((least, { losses }) => Math.min(least, losses?.[0] ?? Infinity), Infinity)
    regret += left === best.losses![0]! ? 0 : left - best.losses![0]!
  }
  return {
    trials: curves.length,
    best: best.number,
    orders,
    saved: 1 - used / (orders * whole),
    stopped: stopped / orders,
    bestStopped,
    regret: regret / orders,
  }
}

function run(
  curves: readonly SeenTrial[],
  pruner: Pruner,
  known: Omit<View, 'ended' | 'results' | 'trial'>,
): SeenTrial[] {
  const ended: SeenTrial[] = []
  const view: View = {
    ...known,
    ended,
    get results() {
      return ended.length
    },
    trial: (number) => ended.find((trial) => trial.number === number),
  }
  for (const [number, curve] of curves.entries()) {
    // Pruners that go by the order in which trials began are to see this one.
    const numbered = { ...curve, number, state: 'running' as const, losses: null }
    const at = curve.reports.findIndex(
      (_, index) => pruner.decide(view, { ...numbered, reports: curve.reports.slice(0, index + 1) }) === 'stop',
    )
    const isStopped = at >= 0 && at < curve.reports.length - 1
    ended.push(
      isStopped ? { ...numbered, state: 'pruned', reports: curve.reports.slice(0, at + 1) } : { ...curve, number },
    )
  }
  return ended.map((trial, index) => ({ ...trial, number: curves[index]!.number }))
}
