import { random } from '@fallline/search/internal'
import type { Policy, Snapshot } from '../policy.ts'
import { finals, goingOn } from './finalists.ts'
import { jobsTo, runsOf } from './measure.ts'

/** Which candidates are tried, and what is done with the best of them. */
export interface TrialsOptions {
  readonly name: string
  /** Default: what the other options say. */
  readonly description?: string
  /** Groups whose every candidate is tried. Default: all. */
  readonly groups?: readonly string[]
  /** How many candidates are drawn at random. Default: all. */
  readonly count?: number
  /** How many of the best run on a second seed, a third, and so on; does not rise. Default: none. */
  readonly ladder?: readonly number[]
}

interface TrialsState {
  readonly chosen: readonly number[]
}

/**
 * Full runs on one seed, the best of them on more: what is done without a search, to measure searches by. It looks neither at the budget
 * nor at the prior, and gives the baseline nothing of its own: `pickOfBaseline` is the best of those of its runs that it happened to make.
 */
export function trials({ name, description, groups, count, ladder = [] }: TrialsOptions): Policy<TrialsState> {
  const choose = ({ candidates }: Snapshot, seed: number) => {
    const all = candidates.flatMap(({ group }, index) => (!groups || groups.includes(group) ? [index] : []))
    return count === undefined ? all : random(seed, name).shuffle(all).slice(0, count)
  }
  return {
    name,
    description:
      description ?? `Full runs of ${count ?? 'all'} candidates, the best ${ladder[0] ?? 0} on further seeds.`,
    start: (snapshot, seed) => ({ chosen: choose(snapshot, seed) }),
    next(state, snapshot) {
      const runs = runsOf(snapshot)
      const first = jobsTo(runs, state.chosen, 0, snapshot.horizon)
      if (first.length > 0) return goingOn(state, first, 'trials', state.chosen)
      const { jobs, alive } = finals(snapshot, runs, state.chosen, ladder)
      if (jobs.length > 0) return goingOn(state, jobs, 'finalists', alive)
      const { candidates, baseline } = snapshot
      const own = state.chosen.filter((index) => candidates[index]!.group === baseline.group)
      const pickOfBaseline = finals(snapshot, runs, own, []).alive[0] ?? null
      const standing = { stage: 'finalists', alive }
      return { state, jobs, standing, pick: alive[0] ?? null, pickOfBaseline }
    },
  }
}
