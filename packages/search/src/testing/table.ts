import { wholeFrom } from '../check.ts'
import type { Pruner } from '../pruners/pruner.ts'
import type { Sampler } from '../samplers/sampler.ts'
import { choice, integer } from '../space/domain.ts'
import { type Parameters, type Space, space } from '../space/space.ts'
import { NothingToTry, type Trial } from '../study/run.ts'
import { openStudy, type Study } from '../study/study.ts'
import { type Resource, signOf } from '../study/view.ts'

/** Finished curves of every point of a space: a benchmark that costs nothing to run. */
export interface Table {
  readonly name: string
  readonly direction: 'minimize' | 'maximize'
  readonly space: Space<Parameters>
  readonly resource: Resource
  /** The values of a point at the steps 1, 2, ... of the resource. */
  curve(parameters: Parameters): readonly number[]
  /** Simulated time that a step of a point takes. */
  cost(parameters: Parameters): number
}

/** Recorded runs of optimizers, as the package of the race keeps them. */
export interface Recorded {
  readonly tasks: readonly {
    readonly name: string
    readonly direction: 'minimize' | 'maximize'
    readonly budget: { readonly steps: number; readonly evaluateEvery: number }
    /** Values by optimizer, setting, seed and evaluation. */
    readonly runs: Readonly<Record<string, readonly (readonly (readonly number[] | null)[])[]>>
  }[]
}

/**
 * The table of one recorded task: a choice of the optimizer and the number of a setting, the curve of the first seed by evaluation. Nothing
 * is worse than the worst of the better nine tenths of all ends, which is also what a run has from where it diverged. A step takes the
 * time 1.
 *
 * @throws RangeError for a task that was not recorded
 */
export function recordedTable({ tasks }: Recorded, name: string): Table {
  const task = tasks.find((each) => each.name === name)
  if (!task) throw new RangeError(`'${name}' was not recorded: ${tasks.map((each) => each.name).join(', ')}`)
  const { direction, runs, budget } = task
  const steps = Math.ceil(budget.steps / budget.evaluateEvery)
  const firsts = Object.entries(runs).flatMap(([optimizer, settings]) =>
    settings.map((seeds, setting) => ({ key: `${optimizer} ${setting}`, curve: seeds[0] ?? [] })),
  )
  const sign = signOf(direction)
  const ends = firsts
    .map(({ curve }) => (curve.length < steps ? Infinity : sign * curve.at(-1)!))
    .sort((a, b) => (a === b ? 0 : a - b))
  const limit = ends[Math.floor(0.9 * (ends.length - 1))]!
  const limited = (value: number | undefined) => sign * Math.min(limit, value === undefined ? Infinity : sign * value)
  const curves = new Map(
    firsts.map(({ key, curve }) => [key, Array.from({ length: steps }, (_, step) => limited(curve[step]))]),
  )
  const settings = Math.max(...Object.values(runs).map((each) => each.length))
  return {
    name,
    direction,
    space: space({ optimizer: choice(Object.keys(runs)), setting: integer(0, settings - 1) }),
    resource: { name: 'evaluation', minimum: 1, maximum: steps },
    curve: ({ optimizer, setting }) => curves.get(`${optimizer} ${setting}`)!,
    cost: () => 1,
  }
}

/** How a table is searched. */
export interface SimulationOptions {
  readonly sampler: Sampler
  readonly pruner?: Pruner
  /** How many trials run at the same time. Default: 1. */
  readonly workers?: number
  /** Trials that have a result, complete or pruned, after which nothing is begun any more. Default: Infinity. */
  readonly trials?: number
  /** Simulated time after which it is over. Default: Infinity. */
  readonly time?: number
  /** Default: 0. */
  readonly seed?: number
}

/** How a simulated search went. */
export interface Simulation {
  readonly study: Study<Parameters>
  /** Simulated time at its end. */
  readonly time: number
  /** Steps that all trials have taken. */
  readonly used: number
  /** The best complete value and when it was there, at each gain. */
  readonly trace: readonly { readonly time: number; readonly best: number }[]
  /** The last of the trace; the worst there is before any trial is complete. */
  readonly best: number
}

interface Event {
  readonly time: number
  readonly trial: Trial<Parameters>
  readonly step: number
}

/**
 * Searches a table in simulated time: workers take trials up and report every step when it would have been done, so that what ends first
 * is known first. The same options give the same search.
 *
 * @throws RangeError without a limit on trials or time, and for workers that are not a whole number from 1
 */
export async function simulate(
  table: Table,
  { sampler, pruner, workers = 1, trials = Infinity, time = Infinity, seed = 0 }: SimulationOptions,
): Promise<Simulation> {
  if (trials === Infinity && time === Infinity) throw new RangeError('simulate: needs a limit on trials or time')
  wholeFrom('simulate', 'workers', workers, 1)
  const { direction, resource, space } = table
  const study = await openStudy({ space, objectives: direction, resource, sampler, seed, ...(pruner && { pruner }) })
  const events: Event[] = []
  const trace: { time: number; best: number }[] = []
  let [now, used, results, best] = [0, 0, 0, direction === 'minimize' ? Infinity : -Infinity]
  const take = async () => {
    while (events.length < workers && results + events.length < trials) {
      try {
        const trial = await study.ask()
        events.push({ time: now + table.cost(trial.parameters), trial, step: trial.from + 1 })
      } catch (error) {
        if (error instanceof NothingToTry) return
        throw error
      }
    }
  }
  for (await take(); events.length > 0; await take()) {
    events.sort((a, b) => a.time - b.time || a.trial.number - b.trial.number)
    const { trial, step, time: then } = events.shift()!
    if (then > time) break
    now = then
    used++
    const value = table.curve(trial.parameters)[step - 1]!
    const isLast = step >= (trial.until ?? resource.maximum)
    const advice = await trial.report(step, value)
    if (!isLast && advice === 'continue') {
      events.push({ time: now + table.cost(trial.parameters), trial, step: step + 1 })
    } else if (!isLast) {
      results++
      await study.prune(trial)
    } else if (step < resource.maximum) await study.pause(trial, value)
    else {
      results++
      await study.tell(trial, value)
      if (direction === 'minimize' ? value < best : value > best) {
        best = value
        trace.push({ time: now, best })
      }
    }
  }
  return { study, time: now, used, trace, best }
}

/**
 * The expected best of some of these values, drawn at random without replacement: the i-th of N sorted values is the best of n with
 * probability C(N - i, n - 1) / C(N, n). What random search reaches on a table, exactly.
 *
 * @throws RangeError for draws that are not a whole number from 1 to the number of the values
 */
export function expectedBest(
  values: readonly number[],
  draws: number,
  direction: 'minimize' | 'maximize' = 'minimize',
): number {
  const count = values.length
  if (!Number.isSafeInteger(draws) || draws < 1 || draws > count) {
    throw new RangeError(`expectedBest: draws must be a whole number from 1 to ${count}, not ${draws}`)
  }
  const sorted = [...values].sort((a, b) => (a === b ? 0 : direction === 'minimize' ? a - b : b - a))
  let chance = draws / count
  let expected = 0
  for (let index = 0; index <= count - draws; index++) {
    expected += chance * sorted[index]!
    chance *= (count - draws - index) / (count - index - 1)
  }
  return expected
}

/** The values of all points of a table at the end of its resource. */
export function endsOf(table: Table): readonly number[] {
  const [choices, settings] = table.space.dimensions.map(({ domain }) => domain)
  if (choices?.kind !== 'choice' || settings?.kind !== 'integer') {
    throw new RangeError(`endsOf: '${table.name}' is no table of a choice and a whole number`)
  }
  const numbers = Array.from(
    { length: settings.maximum - settings.minimum + 1 },
    (_, index) => settings.minimum + index,
  )
  return choices.values.flatMap((optimizer) => numbers.map((setting) => table.curve({ optimizer, setting }).at(-1)!))
}
