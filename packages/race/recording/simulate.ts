import { random } from '@fallline/search/internal'
import type { Prior } from '../src/choose/prior.ts'
import type { Candidate, CandidateRun, Policy, Snapshot } from '../src/search/policy.ts'
import { evaluationsOf, recordedBaseline, seeds } from './record.ts'
import type { RecordedTable, RecordedTask } from './table.ts'

/** A recorded task as policies meet it: metrics to be made small, configurations numbered. */
export interface Ground {
  readonly task: string
  readonly horizon: number
  readonly evaluateEvery: number
  readonly evaluations: number
  readonly configurations: readonly {
    readonly optimizer: string
    readonly setting: number
    readonly values: Readonly<Record<string, number>>
    /** By seed, from 0; `null` where it was not recorded. */
    readonly curves: readonly (readonly number[] | null)[]
    /** What each seed is judged by: the metric at the end, limited to `limit`. */
    readonly judged: readonly (number | null)[]
  }[]
  /** Index and mean judged metric of the best configuration with every seed. */
  readonly best: { readonly index: number; readonly mean: number }
  /** Mean judged metric of the best setting of the baseline. */
  readonly baseline: { readonly index: number; readonly mean: number }
  /** What a run that diverged is judged by, and the most that any run is: ten times as far from the best as the baseline. */
  readonly limit: number
}

/** How far from the best a run is judged at most, in distances of the baseline from the best. */
const farthest = 10

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** The metric at the end by seed, made to be small; `Infinity` for a run that diverged, `null` for a seed that was not recorded. */
export function endsOf(
  { budget, direction }: Pick<RecordedTask, 'budget' | 'direction'>,
  curves: readonly (readonly number[] | null)[],
): (number | null)[] {
  const sign = direction === 'minimize' ? 1 : -1
  const end = (curve: readonly number[]) => (curve.length < evaluationsOf(budget) ? Infinity : sign * curve.at(-1)!)
  return seeds.map((_, seed) => (curves[seed] ? end(curves[seed]) : null))
}

/**
 * Prepares a recorded task for replays.
 *
 * @throws RangeError when no configuration or no setting of the baseline has every seed, as in a recording that has just begun
 */
export function groundOf({ optimizers }: RecordedTable, task: RecordedTask): Ground {
  const evaluations = evaluationsOf(task.budget)
  const sign = task.direction === 'minimize' ? 1 : -1
  const drawn = optimizers
    .filter(({ name }) => task.runs[name] !== undefined)
    .flatMap(({ name, settings }) =>
      settings.map((values, setting) => {
        const recorded = task.runs[name]![setting] ?? []
        const curves = seeds.map((_, seed) => recorded[seed]?.map((metric) => sign * metric) ?? null)
        return { optimizer: name, setting, values, curves }
      }),
    )
    .filter(({ curves }) => curves.some((curve) => curve !== null))
  const ends = drawn.map(({ optimizer, setting }) => endsOf(task, task.runs[optimizer]![setting] ?? []))
  const whole = ends
    .map((values, index) => ({ index, values: values.filter((value) => value !== null) }))
    .filter(({ values }) => values.length === seeds.length)
    .map(({ index, values }) => ({ index, mean: mean(values) }))
    .sort((a, b) => (a.mean === b.mean ? 0 : a.mean - b.mean))
  const best = whole[0]
  const baseline = whole.find(({ index }) => drawn[index]!.optimizer === recordedBaseline)
  if (best === undefined || baseline === undefined || !(baseline.mean > best.mean)) {
    throw new RangeError(`task '${task.name}' has too few recorded runs: finish its recording first`)
  }
  const limit = best.mean + farthest * (baseline.mean - best.mean)
  return {
    task: task.name,
    horizon: task.budget.steps,
    evaluateEvery: task.budget.evaluateEvery,
    evaluations,
    configurations: drawn.map((configuration, index) => ({
      ...configuration,
      judged: ends[index]!.map((end) => (end === null ? null : Math.min(end, limit))),
    })),
    best,
    baseline,
    limit,
  }
}

/** How a replay is done. */
export interface ReplayOptions {
  /** Gradients that may be spent, in full runs. */
  readonly runs: number
  /** Full runs that the baseline gets. */
  readonly guaranteed: number
  readonly repetitions: number
  readonly seed: number
  /** Scores of the settings by optimizer; `null` for none. */
  readonly prior: Prior | null
}

/** What came of one repetition. */
export interface Replay {
  /** Index of the picked configuration; `null` when nothing finished. */
  readonly pick: number | null
  readonly pickOfBaseline: number | null
  /** Distance of the pick from the best on unseen seeds, in distances of the best setting of the baseline. */
  readonly regret: number
  /** The same for the pick among the settings of the baseline. */
  readonly regretOfBaseline: number
  /** Full runs' worth of gradients spent. */
  readonly cost: number
  /** Seeds that judged the pick and that the policy had not seen it on. */
  readonly unseen: number
  /** Share of the configurations with every seed that are better than the pick in their mean over all seeds. */
  readonly rank: number
  /** What it had run, and the first candidates of it. */
  readonly runs: readonly CandidateRun[]
  readonly first: readonly number[]
}

/**
 * Replays a policy on a recorded task. Each repetition shuffles the recorded seeds anew, so the policy meets other runs each time.
 * The seeds of a configuration that it asked for never judge its pick. A configuration with fewer recorded seeds than it asks for shows
 * it the first again; where no unseen seed is left, all of them judge, and `unseen` is 0.
 */
export function replay<State>(policy: Policy<State>, ground: Ground, options: ReplayOptions): Replay[] {
  const source = random(options.seed, `replay of ${ground.task}`)
  const candidates = ground.configurations.map(
    ({ optimizer, setting, values }): Candidate => ({
      group: optimizer,
      setting: values,
      prior: options.prior?.optimizers[optimizer]?.scores[setting] ?? null,
    }),
  )
  const order = seeds.map((_, seed) => seed)
  return Array.from({ length: options.repetitions }, () =>
    once(policy, ground, candidates, source.shuffle(order), source.integer(1, 999_999_999), options),
  )
}

const most = 200

function once<State>(
  policy: Policy<State>,
  ground: Ground,
  candidates: readonly Candidate[],
  order: readonly number[],
  seed: number,
  { runs: budget, guaranteed }: ReplayOptions,
): Replay {
  const { horizon, evaluateEvery, evaluations, configurations } = ground
  /** Recorded seeds of a configuration in the order in which the policy meets them. */
  const seedsOf = (index: number) => order.filter((each) => configurations[index]!.curves[each] !== null)
  const curveOf = (index: number, number: number) => {
    const available = seedsOf(index)
    return configurations[index]!.curves[available[number % available.length]!]!
  }
  const runs = new Map<string, CandidateRun>()
  const base = {
    candidates,
    horizon,
    evaluateEvery,
    budget: budget * horizon,
    baseline: { group: recordedBaseline, guaranteed },
  }
  const snapshot = (): Snapshot => ({ ...base, runs: [...runs.values()] })
  const times = Array.from({ length: evaluations }, (_, index) => Math.min(horizon, (index + 1) * evaluateEvery))
  let state = policy.start(snapshot(), seed)
  let spent = 0
  let first: readonly number[] | undefined
  for (let round = 0; round < most; round++) {
    const proposal = policy.next(state, snapshot())
    state = proposal.state
    first ??= proposal.standing.alive
    if (proposal.jobs.length === 0) {
      const seen = new Map<number, number>()
      for (const { candidate, seed: number } of runs.values()) {
        seen.set(candidate, Math.max(seen.get(candidate) ?? 0, number + 1))
      }
      const judge = (pick: number | null) => {
        if (pick === null) return { regret: farthest, unseen: 0 }
        const available = seedsOf(pick)
        const unseen = available.slice(Math.min(available.length, seen.get(pick) ?? 0))
        return { regret: regretOf(ground, pick, unseen.length > 0 ? unseen : available), unseen: unseen.length }
      }
      const { pick, pickOfBaseline } = proposal
      return {
        pick,
        pickOfBaseline,
        ...judge(pick),
        regretOfBaseline: judge(pickOfBaseline).regret,
        cost: spent / horizon,
        rank: pick === null ? 1 : rankOf(ground, pick),
        runs: [...runs.values()],
        first,
      }
    }
    for (const { candidate, seed: number, until } of proposal.jobs) {
      const key = `${candidate} ${number}`
      const before = runs.get(key)
      const from = before?.gradients ?? 0
      if (before && before.outcome !== 'paused') continue
      const curve = curveOf(candidate, number)
      const diverges = curve.length < evaluations
      // Where between two evaluations a run diverged was not recorded: at the later one.
      const end = diverges ? times[curve.length]! : horizon
      const gradients = Math.max(from, Math.min(until, end))
      const shown = times.filter((time, index) => time <= gradients && index < curve.length).length
      runs.set(key, {
        candidate,
        seed: number,
        gradients,
        outcome: gradients < end ? 'paused' : diverges ? 'diverged' : 'finished',
        curve: { gradients: times.slice(0, shown), metric: curve.slice(0, shown) },
      })
      spent += gradients - from
    }
  }
  throw new Error(`policy '${policy.name}' did not end within ${most} proposals`)
}

/** Mean distance from the best, seed by seed, in distances of the baseline. */
function regretOf({ configurations, best, baseline }: Ground, pick: number, judges: readonly number[]): number {
  const differences = judges.map(
    (seed) => configurations[pick]!.judged[seed]! - configurations[best.index]!.judged[seed]!,
  )
  return mean(differences) / (baseline.mean - best.mean)
}

function rankOf({ configurations }: Ground, pick: number): number {
  const means = configurations.map(({ judged }) => mean(judged.filter((value) => value !== null)))
  return means.filter((value) => value < means[pick]!).length / means.length
}
