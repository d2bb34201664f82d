import { random } from '@fallline/search/internal'
import type { Policy, Snapshot } from '../policy.ts'
import { baselineTuning, conclude, goingOn, ladderFor } from './finalists.ts'
import { agreementOf, jobsTo, metricAt, placesOf, type Runs, runsOf, sortedBy, spread } from './measure.ts'

/** What can be chosen about halving. */
export interface HalvingOptions {
  /** Default: `halving`. */
  readonly name?: string
  /** One candidate in `eta` goes on from each rung to the next, which is `eta` times as long. Default: 2. */
  readonly eta?: number
  /** The first rung is at least this share of a full run long, and at least one evaluation. Default: 1/32. */
  readonly firstRung?: number
  /** Share of the budget that runs finalists on further seeds. Default: 0.2. */
  readonly finalists?: number
  /** Share of the candidates that are drawn from all over the groups, whatever the prior says. Default: 0.3. */
  readonly exploration?: number
  /** Weight of the prior beside the metric in the order at the start of a run; at the end it is 0. Default: 0.5; 0 uses no prior at all. */
  readonly trust?: number
}

interface HalvingState {
  readonly seed: number
  readonly rung: number
  /** Candidates on the rung, best first once it has been decided. */
  readonly alive: readonly number[]
  /** How far the prior is believed, from 0 to 1; `null` as long as only the first candidates run, which tell. */
  readonly belief: number | null
}

/** What follows from options and budget. */
interface Plan {
  /** Gradients at the end of each rung. */
  readonly levels: readonly number[]
  /** Candidates on each rung. */
  readonly counts: readonly number[]
  readonly ladder: readonly number[]
}

/**
 * Successive halving (Jamieson and Talwalkar 2016; Li et al. 2018) of full runs that are paused, in this order:
 *
 * 1. the baseline gets its guaranteed full runs;
 * 2. candidates spread over all groups run to the first rung on one seed, the same for all;
 * 3. how far the prior orders them as their metrics do tells how many of the other candidates come from the top of the prior;
 * 4. from each rung the best half goes on, by metric and, less and less, by prior;
 * 5. those that reach the end, and the baseline, are finalists: the best run on further seeds.
 *
 * Runs are paused and go on, so their learning rate is scheduled over a full run, and what has been computed is not computed again. The
 * number of candidates is the largest that the budget pays for.
 */
export function halving(options: HalvingOptions = {}): Policy<HalvingState> {
  const { name = 'halving', eta = 2, firstRung = 1 / 32, finalists = 0.2, exploration = 0.3, trust = 0.5 } = options

  const planOf = (snapshot: Snapshot): Plan => {
    const { horizon, evaluateEvery, budget, baseline } = snapshot
    const levels = [horizon]
    const shortest = Math.max(evaluateEvery, firstRung * horizon * (1 - 1e-9))
    while (levels[0]! / eta >= shortest) levels.unshift(levels[0]! / eta)
    // A metric is only known at evaluations.
    const rounded = levels.map((level) => Math.min(horizon, Math.round(level / evaluateEvery) * evaluateEvery))
    rounded[rounded.length - 1] = horizon
    const ladder = ladderFor((finalists * budget) / horizon)
    const spent = baseline.guaranteed + ladder.reduce((sum, count) => sum + count, 0)
    const countsOf = (count: number) =>
      rounded.map((_, rung) => Math.min(count, Math.max(ladder[0] ?? 1, Math.round(count / eta ** rung))))
    const costOf = (count: number) =>
      countsOf(count).reduce((sum, alive, rung) => sum + alive * (rounded[rung]! - (rounded[rung - 1] ?? 0)), 0)
    // The cost rises with the number of candidates: halve the interval in which the largest that can be paid lies.
    let [count, tooMany] = [0, othersOf(snapshot).length + 1]
    while (tooMany - count > 1) {
      const middle = Math.floor((count + tooMany) / 2)
      if (costOf(middle) <= budget - spent * horizon) count = middle
      else tooMany = middle
    }
    return { levels: rounded, counts: countsOf(count), ladder }
  }

  /** The first candidates; all of them where there is no prior to ask about the others. */
  const start = (snapshot: Snapshot, seed: number): HalvingState => {
    const count = planOf(snapshot).counts[0]!
    const knows = trust > 0 && snapshot.candidates.some(({ prior }) => prior !== null)
    const first = knows ? Math.ceil(exploration * count) : count
    const alive = spread(snapshot, othersOf(snapshot), random(seed, 'spread')).slice(0, first)
    return { seed, rung: 0, alive, belief: knows ? null : 0 }
  }

  /** The candidates that come after the first ones, as far as possible from the top of the prior when it has agreed with these. */
  const completed = (state: HalvingState, snapshot: Snapshot, runs: Runs, { levels, counts }: Plan): HalvingState => {
    const prior = (index: number) => snapshot.candidates[index]!.prior ?? Infinity
    const agreement = agreementOf(state.alive, prior, (index) => metricAt(runs.get(index)?.get(0), levels[0]!))
    const belief = Math.max(0, Math.min(1, (agreement + fullBelief) / (2 * fullBelief)))
    const others = othersOf(snapshot)
    const chosen = new Set(state.alive)
    const fromPrior = chosen.size + Math.round(belief * (counts[0]! - chosen.size))
    for (const index of sortedBy(others, prior)) if (chosen.size < fromPrior) chosen.add(index)
    for (const index of spread(snapshot, others, random(state.seed, 'spread'))) {
      if (chosen.size < counts[0]!) chosen.add(index)
    }
    return { ...state, alive: [...chosen], belief }
  }

  const promoted = (state: HalvingState, snapshot: Snapshot, runs: Runs, { levels, counts }: Plan): HalvingState => {
    const level = levels[state.rung]!
    const metric = (index: number) => metricAt(runs.get(index)?.get(0), level)
    const places = placesOf(state.alive, metric)
    const expected = placesOf(state.alive, (index) => snapshot.candidates[index]!.prior ?? Infinity)
    const weight = trust * state.belief! * (1 - Math.sqrt(level / snapshot.horizon))
    const score = (index: number) =>
      metric(index) === Infinity ? Infinity : (1 - weight) * places.get(index)! + weight * expected.get(index)!
    const rung = state.rung + 1
    return { ...state, rung, alive: sortedBy(state.alive, score).slice(0, counts[rung]!) }
  }

  return {
    name,
    description: `Runs that are paused; one in ${eta} goes on from each rung, the best at the end run on further seeds.`,
    start,
    next(before, snapshot) {
      const runs = runsOf(snapshot)
      const plan = planOf(snapshot)
      const own = baselineTuning(snapshot)
      let state = before
      while (true) {
        const jobs = jobsTo(runs, state.alive, 0, plan.levels[state.rung]!)
        if (state.rung === 0) jobs.unshift(...jobsTo(runs, own.settings, 0, snapshot.horizon))
        if (jobs.length > 0) return goingOn(state, jobs, `rung ${state.rung + 1} of ${plan.levels.length}`, state.alive)
        if (state.belief === null) state = completed(state, snapshot, runs, plan)
        else if (state.rung < plan.levels.length - 1) state = promoted(state, snapshot, runs, plan)
        else break
      }
      return conclude(state, snapshot, runs, state.alive, plan.ladder)
    },
  }
}

/** Agreement from which the prior is believed in full; as far below zero it is not believed at all. */
const fullBelief = 0.2

/** Candidates that have no guaranteed runs. */
function othersOf(snapshot: Snapshot): number[] {
  const own = new Set(baselineTuning(snapshot).settings)
  return snapshot.candidates.map((_, index) => index).filter((index) => !own.has(index))
}
