import { wholeFrom } from '../check.ts'
import type { Watch } from '../storage/storage.ts'
import { type Best, bestOf } from './best.ts'
import type { Outcome } from './outcome.ts'
import { NothingToTry, Stopped, type Trial, type Working } from './run.ts'
import { type StopRule, watchStop } from './stop.ts'
import type { TrialRecord } from './trial.ts'

/**
 * Evaluates a trial. What it returns is the outcome; one that was told to stop returns `'stopped'` or throws `new Stopped()`.
 */
export type Objective<Values> = (trial: Trial<Values>) => Outcome | 'stopped' | Promise<Outcome | 'stopped'>

/** When a run of a study ends; the first limit that is met counts. */
export interface Budget {
  /** Trials of the study that have a result, complete or pruned, those of earlier runs included. */
  readonly trials?: number
  /** Seconds after which no trial is begun any more. */
  readonly seconds?: number
  /** Units of the study's resource that its trials have used in all. */
  readonly resource?: number
  readonly stop?: readonly StopRule[]
  /** No trial is begun after an abort, and those that run are given back. */
  readonly signal?: AbortSignal
  /** How many trials run at the same time. Default: 1. */
  readonly parallel?: number
  /**
   * Whether the study comes out the same whoever of those that run at the same time is faster: a proposal then knows only trials that
   * began `parallel` or more before it, and waits for them. Default: no.
   */
  readonly deterministic?: boolean
  /**
   * What an objective that throws does: `throw` ends the run with its error when the other trials have ended, `continue` does so only
   * after 20 trials of this run that failed one after the other. Default: `throw`.
   */
  readonly failures?: 'throw' | 'continue'
  /** Called with every trial that has ended or paused here. */
  onEnd?(record: TrialRecord): void
}

/** How a run of a study has ended. */
export interface Standing {
  /** Which limit was met, in words. */
  readonly reason: string
  /** The best so far; `null` without one, and with several objectives. */
  readonly best: Best | null
}

/** Failures one after the other after which no run goes on. */
const failuresInARow = 20

/** Milliseconds after which somebody who has nothing to do looks again, when nobody here works either. */
const nap = 250

/** The same where changes are heard of: what nobody says is that somebody has fallen silent. */
const watchedNap = 5000

/** Runs an objective until a budget is spent: what `Study.optimize` does. */
export async function optimize<Values>(
  study: Working<Values>,
  objective: Objective<Values>,
  budget: Budget,
): Promise<Standing> {
  checkBudget(budget, study)
  const watch = study.storage.watch?.(study.record.name)
  try {
    return await optimizeWatching(study, objective, budget, watch)
  } finally {
    watch?.close()
  }
}

async function optimizeWatching<Values>(
  study: Working<Values>,
  objective: Objective<Values>,
  budget: Budget,
  watch: Watch | undefined,
): Promise<Standing> {
  const { parallel = 1, deterministic = false, failures = 'throw', signal } = budget
  const deadline = budget.seconds === undefined ? Infinity : Date.now() + 1000 * budget.seconds
  const running = new Set<Promise<void>>()
  const errors: unknown[] = []
  let failed = 0
  const stopped = watchStop(study.storage, study.record.name)
  let reason: string | null = null
  const idle = (heard: number) => watch?.next(heard, watchedNap, nap, signal) ?? pause(nap, signal)
  while (reason === null) {
    const heard = watch?.count ?? 0
    reason = (await spent(study, budget)) ?? (await stopped())
    if (errors.length > 0) reason = 'an objective threw'
    else if (signal?.aborted) reason = 'aborted'
    else if (Date.now() >= deadline) reason = `${budget.seconds} seconds are over`
    if (reason !== null) break
    if (running.size >= parallel) {
      await Promise.race(running)
      continue
    }
    try {
      const options = {
        ...(signal && { signal }),
        ...(deterministic && { window: parallel }),
        ...(budget.trials !== undefined && { results: budget.trials }),
      }
      const trial = await study.ask(options)
      const work = run(study, objective, trial, budget).then(
        () => {
          failed = 0
        },
        (error: unknown) => {
          failed++
          if (failures === 'throw' || failed >= failuresInARow) errors.push(error)
        },
      )
      const tracked: Promise<void> = work.finally(() => running.delete(tracked))
      running.add(tracked)
    } catch (error) {
      if (!(error instanceof NothingToTry)) throw error
      if (error.forever && running.size === 0) reason = error.message
      else await (running.size > 0 ? Promise.race(running) : idle(heard))
    }
  }
  await Promise.all(running)
  if (errors.length > 0) throw errors[0]
  const records = await study.trials()
  const { objectives } = study.record
  return { reason: reason!, best: objectives.length > 1 ? null : bestOf(records, objectives[0]!) }
}

function checkBudget(
  { trials, seconds, resource, parallel = 1, deterministic, stop, signal }: Budget,
  study: Working<unknown>,
): void {
  if (trials === undefined && seconds === undefined && resource === undefined && !stop?.length && !signal) {
    throw new RangeError('a budget needs trials, seconds, resource, a stop rule or a signal')
  }
  for (const [name, value] of Object.entries({ trials, seconds, resource })) {
    if (value !== undefined && !(value >= 0)) throw new RangeError(`budget: ${name} must be 0 or more, not ${value}`)
  }
  wholeFrom('budget', 'parallel', parallel, 1)
  if (resource !== undefined && study.record.resource === null) {
    throw new RangeError(`budget: '${study.record.name}' has no resource that ${resource} could be spent of`)
  }
  if (deterministic && parallel > 1 && study.sampler.needsResource) {
    throw new RangeError(`${study.sampler.name} decides by who comes first, so it cannot be deterministic in parallel`)
  }
}

/** Which limit has been met that a study does not keep by itself; `null`: none. */
async function spent<Values>(study: Working<Values>, { resource, stop = [] }: Budget): Promise<string | null> {
  if (resource === undefined && stop.length === 0) return null
  const view = await study.view()
  if (resource !== undefined) {
    const used = [...view.ended, ...view.open].reduce((sum, { reports }) => sum + (reports.at(-1)?.step ?? 0), 0)
    if (used >= resource) return `${used} of ${resource} ${study.record.resource!.name} are used`
  }
  for (const rule of stop) {
    const why = rule.reached(view)
    if (why !== null) return why
  }
  return null
}

async function run<Values>(
  study: Working<Values>,
  objective: Objective<Values>,
  trial: Trial<Values>,
  { signal, onEnd }: Budget,
): Promise<void> {
  let thrown: unknown
  try {
    const outcome = await objective(trial)
    if (signal?.aborted) await study.giveBack(trial)
    else if (outcome === 'stopped') await study.prune(trial)
    else if (trial.until !== null && trial.until < (study.record.resource?.maximum ?? Infinity))
      await study.pause(trial, outcome)
    else await study.tell(trial, outcome)
  } catch (error) {
    if (signal?.aborted) await study.giveBack(trial)
    else if (error instanceof Stopped) await study.prune(trial)
    else {
      thrown = error
      await study.fail(trial, error instanceof Error ? error.message : String(error))
    }
  }
  onEnd?.(await study.trial(trial.number))
  if (thrown !== undefined) throw thrown
}

/** Waits; an abort ends it early. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal?.addEventListener('abort', end)
  })
}
