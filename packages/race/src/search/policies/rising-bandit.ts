import { random } from '@fallline/search/internal'
import type { Policy, Snapshot } from '../policy.ts'
import { baselineTuning, conclude, goingOn, ladderFor } from './finalists.ts'
import { finalMetric, jobsTo, metricAt, type Runs, runsOf, sortedBy } from './measure.ts'

/** What can be chosen about the rising bandit. */
export interface RisingBanditOptions {
  /** Default: `rising bandit`. */
  readonly name?: string
  /** A full run is cut into that many pulls. Default: 9. */
  readonly pulls?: number
  /** Share of the budget that runs finalists on further seeds. Default: 0.2. */
  readonly finalists?: number
}

interface RisingBanditState {
  /** The arms: one candidate of each group. */
  readonly arms: readonly number[]
  /** Pulls that every arm of `alive` has had. */
  readonly pulled: number
  readonly alive: readonly number[]
  /** Further settings of the groups that did best, in full runs; `null` before they are chosen. */
  readonly further: readonly number[] | null
}

/**
 * A rising bandit over groups (Li, Jiang, Gao, Shao, Zhang and Cui 2020, "Efficient automatic CASH via rising bandits"): an arm is a
 * candidate of a group, the best by prior or else a random one, and a pull advances it by a slice of a full run. Curves fall ever more
 * slowly, so going on as steeply as in its last slice is the best an arm can come to; an arm is dropped when that is worse than what another
 * has reached already, and otherwise only when the budget cannot pay for all to end, those of the worst bound first. What is left of the
 * budget runs further settings of the three best groups in full, and the finalists on further seeds.
 */
export function risingBandit(options: RisingBanditOptions = {}): Policy<RisingBanditState> {
  const { name = 'rising bandit', pulls = 9, finalists = 0.2 } = options

  const levelOf = ({ horizon, evaluateEvery }: Snapshot, pulled: number) =>
    pulled >= pulls
      ? horizon
      : Math.max(evaluateEvery, Math.round((horizon * pulled) / pulls / evaluateEvery) * evaluateEvery)

  /** Gradients for the search, without the guaranteed runs and the finalists. */
  const forSearch = (snapshot: Snapshot, ladder: readonly number[]) =>
    snapshot.budget - snapshot.horizon * (snapshot.baseline.guaranteed + ladder.reduce((sum, count) => sum + count, 0))

  const start = (snapshot: Snapshot, seed: number): RisingBanditState => {
    const { candidates, baseline, budget, horizon } = snapshot
    const source = random(seed, 'arms')
    const others = candidates.map((_, index) => index).filter((index) => candidates[index]!.group !== baseline.group)
    const first = new Map<string, number>()
    for (const index of sortedBy(source.shuffle(others), (each) => candidates[each]!.prior ?? Infinity)) {
      if (!first.has(candidates[index]!.group)) first.set(candidates[index]!.group, index)
    }
    // The first pull may cost half of the search.
    const affordable = Math.floor(
      forSearch(snapshot, ladderFor((finalists * budget) / horizon)) / 2 / levelOf(snapshot, 1),
    )
    const arms = sortedBy(source.shuffle([...first.values()]), (each) => candidates[each]!.prior ?? Infinity)
    const chosen = arms.slice(0, Math.max(0, affordable))
    return { arms: chosen, pulled: 1, alive: chosen, further: null }
  }

  /** Gradients that the search has spent on others than the baseline's own runs. */
  const spentOn = (snapshot: Snapshot) => {
    const own = new Set(baselineTuning(snapshot).settings)
    return snapshot.runs.reduce((sum, { candidate, gradients }) => (own.has(candidate) ? sum : sum + gradients), 0)
  }

  const pull = (state: RisingBanditState, snapshot: Snapshot, runs: Runs, left: number): RisingBanditState => {
    const level = levelOf(snapshot, state.pulled)
    const before = levelOf(snapshot, state.pulled - 1)
    const now = (index: number) => metricAt(runs.get(index)?.get(0), level)
    const bound = (index: number) => {
      if (now(index) === Infinity) return Infinity
      const slope =
        state.pulled > 1 ? Math.max(0, metricAt(runs.get(index)?.get(0), before) - now(index)) / (level - before) : 0
      return now(index) - slope * (snapshot.horizon - level)
    }
    const reached = Math.min(...state.alive.map(now))
    // After one pull there is no slope, so no bound: only the budget drops arms.
    const able = state.alive.filter((index) => state.pulled === 1 || bound(index) <= reached)
    const paid = Math.max(1, Math.floor(left / (snapshot.horizon - level)))
    return { ...state, pulled: state.pulled + 1, alive: sortedBy(able, bound).slice(0, paid) }
  }

  const further = (state: RisingBanditState, snapshot: Snapshot, runs: Runs, left: number): RisingBanditState => {
    const { candidates, horizon } = snapshot
    const best = sortedBy(state.alive, (index) => finalMetric(runs.get(index)?.get(0))).slice(0, 3)
    const settings = best.map((arm) => {
      const others = candidates.flatMap(({ group }, index) =>
        group === candidates[arm]!.group && index !== arm ? [index] : [],
      )
      return sortedBy(others, (index) => candidates[index]!.prior ?? Infinity)
    })
    const longest = Math.max(0, ...settings.map(({ length }) => length))
    const inTurn = Array.from({ length: longest }, (_, turn) => settings.flatMap((group) => group[turn] ?? [])).flat()
    return { ...state, further: inTurn.slice(0, Math.max(0, Math.floor(left / horizon + 1e-9))) }
  }

  return {
    name,
    description:
      'One setting of each optimizer, in slices; those that can no longer catch up are dropped; then more settings of the best.',
    start,
    next(before, snapshot) {
      const runs = runsOf(snapshot)
      const { horizon, budget } = snapshot
      const own = baselineTuning(snapshot)
      const ladder = ladderFor((finalists * budget) / horizon)
      let state = before
      while (state.further === null) {
        const jobs = jobsTo(runs, state.alive, 0, levelOf(snapshot, state.pulled))
        if (state.pulled === 1) jobs.unshift(...jobsTo(runs, own.settings, 0, horizon))
        if (jobs.length > 0) return goingOn(state, jobs, `pull ${state.pulled} of ${pulls}`, state.alive)
        const left = forSearch(snapshot, ladder) - spentOn(snapshot)
        state = state.pulled < pulls ? pull(state, snapshot, runs, left) : further(state, snapshot, runs, left)
      }
      const last = jobsTo(runs, state.further, 0, horizon)
      if (last.length > 0) return goingOn(state, last, 'further settings', state.alive)
      return conclude(state, snapshot, runs, [...state.alive, ...state.further], ladder)
    },
  }
}
