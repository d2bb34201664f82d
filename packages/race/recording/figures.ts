import type { Prior } from '../src/choose/prior.ts'
import { guaranteedRuns, halving, risingBandit, trials } from '../src/search/policies/index.ts'
import type { Policy } from '../src/search/policy.ts'
import { groundsOf, priorOf } from './prior.ts'
import { recordedBaseline } from './record.ts'
import { type Ground, type Replay, replay } from './simulate.ts'
import type { RecordedTable } from './table.ts'

/**
 * Which prior a policy gets when it is judged on a task: none; that of all other tasks; that of the tasks on other data, so that none of the
 * three on digits tells of another; or the first one turned upside down, to see what a wrong prior costs.
 */
export type PriorKind = 'none' | 'other tasks' | 'other data' | 'reversed'

/** One line of the table. */
export interface PolicyFigures {
  readonly policy: string
  readonly prior: PriorKind
  /** Full runs that could be spent. */
  readonly runs: number
  /** Full runs' worth of gradients that were spent, in the mean. */
  readonly cost: number
  /** Regret by task: 0 is the best configuration, 1 the best of eight settings of the baseline. */
  readonly tasks: readonly { readonly task: string; readonly regret: number; readonly standardError: number }[]
  /** Mean over tasks, with its standard error over repetitions; that there are few tasks is not in it. */
  readonly regret: number
  readonly standardError: number
  /** Mean share of the configurations that are better than the pick. */
  readonly better: number
  /** Share of the picks that fewer than three unseen seeds judged. */
  readonly barelyJudged: number
}

/** A policy with what it is given. */
export interface PolicyCase {
  readonly policy: Policy<unknown>
  readonly runs: number
  readonly prior: PriorKind
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** Replays policies on a table and sums up. */
export class Simulator {
  readonly grounds: readonly Ground[]
  readonly #table: RecordedTable
  readonly #priors = new Map<string, Prior>()

  /** @throws RangeError when no task of the table has been recorded far enough */
  constructor(table: RecordedTable) {
    this.#table = table
    this.grounds = groundsOf(table)
    if (this.grounds.length === 0) throw new RangeError('no task of the table has been recorded far enough to judge on')
  }

  /** Figures of a policy, the same for the same seed. */
  measure({ policy, runs, prior }: PolicyCase, repetitions: number, seed = 1): PolicyFigures {
    const guaranteed = guaranteedRuns(runs)
    const replays = this.grounds.map((ground) =>
      replay(policy, ground, { runs, guaranteed, repetitions, seed, prior: this.#priorFor(prior, ground.task) }),
    )
    const tasks = replays.map((results, index) => {
      const regrets = results.map(({ regret }) => regret)
      const center = mean(regrets)
      const variance = mean(regrets.map((regret) => (regret - center) ** 2))
      return { task: this.grounds[index]!.task, regret: center, standardError: Math.sqrt(variance / results.length) }
    })
    const over = (value: (result: Replay) => number) => mean(replays.map((results) => mean(results.map(value))))
    return {
      policy: policy.name,
      prior,
      runs,
      cost: over(({ cost }) => cost),
      tasks,
      regret: mean(tasks.map(({ regret }) => regret)),
      standardError: Math.hypot(...tasks.map(({ standardError }) => standardError)) / tasks.length,
      better: over(({ rank }) => rank),
      barelyJudged: over(({ unseen }) => (unseen < 3 ? 1 : 0)),
    }
  }

  #priorFor(kind: PriorKind, task: string): Prior | null {
    if (kind === 'none') return null
    const key = `${kind} ${task}`
    const known = this.#priors.get(key)
    if (known) return known
    const alike = this.#table.tasks.map(({ name }) => name).filter((name) => dataOf(name) === dataOf(task))
    const prior = priorOf(this.#table, kind === 'other data' ? alike : [task])
    const made = kind === 'reversed' ? reversed(prior) : prior
    this.#priors.set(key, made)
    return made
  }
}

/** Tasks on the same data share the first word of their name. */
function dataOf(task: string): string {
  return task.split('-')[0]!
}

function reversed(prior: Prior): Prior {
  const all = Object.values(prior.optimizers).flatMap(({ scores }) => scores)
  const worst = Math.max(...all.filter((score) => score !== null))
  const turned = Object.entries(prior.optimizers).map(([name, { search, scores }]) => [
    name,
    { search, scores: scores.map((score) => (score === null ? null : worst - score)) },
  ])
  return { ...prior, optimizers: Object.fromEntries(turned) }
}

/** What is done without a search, and searches that have not become the default: what the default is measured by. */
export function referenceCases(): PolicyCase[] {
  const known = [recordedBaseline, 'sgd', 'rmsProp', 'lion', 'muon']
  const without = <State>(policy: Policy<State>, runs: number): PolicyCase => ({
    policy: policy as Policy<unknown>,
    runs,
    prior: 'none',
  })
  return [
    without(trials({ name: 'AdamW, 8 trials', groups: [recordedBaseline] }), 8),
    without(trials({ name: 'AdamW, SGD, RMSProp, Lion, Muon, 8 trials each', groups: known }), 40),
    without(trials({ name: 'every configuration, one seed' }), 904),
    without(trials({ name: 'every configuration, ten finalists on two more seeds', ladder: [10, 10] }), 924),
    without(trials({ name: 'random configurations', count: 46 }), 46),
    without(trials({ name: 'random configurations, finalists', count: 36, ladder: [4, 3, 3] }), 46),
    without(risingBandit(), 46),
    ...(['other tasks', 'reversed'] as const).flatMap((prior) =>
      [23, 46].map((runs): PolicyCase => ({ ...without(risingBandit(), runs), prior })),
    ),
    without(halving({ name: 'halving, a third per rung', eta: 3, firstRung: 1 / 27 }), 46),
  ]
}

/** The shipped policy, without prior, with priors it may have, and with one that is wrong. */
export function shippedCases(): PolicyCase[] {
  const policy = halving() as Policy<unknown>
  const kinds: readonly PriorKind[] = ['none', 'other tasks', 'other data', 'reversed']
  return kinds.flatMap((prior) => [23, 46, 92].map((runs) => ({ policy, runs, prior })))
}
