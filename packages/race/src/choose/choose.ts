import { availableParallelism } from 'node:os'
import { findOptimizer, registry } from 'fallline'
import { machineRecord, packageVersions, sourceOf, taskRecord, wholeNumber } from '../environment.ts'
import { loadTaskModule, type TaskModule } from '../load-task.ts'
import { formatDuration, formatNumber } from '../report/format.ts'
import { defaultPolicy, guaranteedRuns } from '../search/policies/index.ts'
import type { Candidate, Policy } from '../search/policy.ts'
import type { SearchSpace } from '../search/space.ts'
import { fingerprintOf } from '../store.ts'
import { defineTask, type Task } from '../task.ts'
import { checkTask } from '../training/check-task.ts'
import { type ContenderLike, type Entry, enter, identityOf, presentRanges, withRanges } from '../training/contenders.ts'
import { stepsOf } from '../training/cost-of-a-step.ts'
import type { NonFinite } from '../training/training.ts'
import { answerOf } from './answer.ts'
import { candidatesOf } from './candidates.ts'
import { confirm, confirmationLevel, confirmationSeeds, fewestSeeds } from './confirm.ts'
import { addLearnt, learntFrom, readLearnt } from './learnt.ts'
import { readPrior } from './prior.ts'
import { type ChooseResults, type ConfirmationRecord, chooseVersion, type FreshRun } from './results.ts'
import { DirectoryStore, MemoryStore } from './store.ts'
import { type ChooseProgress, Study } from './study.ts'

/** How an optimizer is chosen. */
export interface ChooseOptions {
  /** A task, which is left for the caller to dispose and runs in this thread, or the name or path of one, for worker threads. */
  task: Task | string
  /** Names of registered optimizers, or contenders of your own, which run in this thread. Default: the whole registry. */
  optimizers?: readonly ContenderLike[]
  /** Name of the contender that takes part in any case, with tuning of its own, and that the pick is compared with. Default `adamW`. */
  baseline?: string
  /** Budget in full runs, the comparison on fresh seeds included. Default 46. */
  runs?: number
  /**
   * Budget in minutes instead: before anything else some candidates are trained for a tenth of a run each, on all threads at the same
   * time and more than once where that is quick; their speed says how many full runs fit.
   */
  minutes?: number
  /** Seed of the study: decides which candidates are tried and all training seeds. Default 1. */
  seed?: number
  /** Gradients of a full run. Default: the steps of the task's budget. */
  steps?: number
  /** Fresh seeds of the comparison. Default 8. */
  seeds?: number
  /** Worker threads; 0 to run all in this thread. Default: as many as the machine runs at the same time. The answer does not depend on it. */
  workers?: number
  /** What is done with a gradient that is not finite: the run ends, or the step is left out. Default `stop`. */
  nonFinite?: NonFinite
  /** Directory for `choose.json`, `choose.html` and checkpoints. Default: nothing is written. */
  out?: string
  /** Start over although the directory has a study of the same settings. Default false. */
  fresh?: boolean
  /**
   * What earlier studies say. By default what comes with the package; with the path of a file also what is learnt on other tasks here, which
   * is read from it and, when the study ends, added to it; `none`: nothing at all.
   */
  prior?: string
  /** Full runs to add to the study that lies in `out`; what was run is kept. */
  more?: number
  /** Stops the study; the promise rejects with ChooseInterrupted. */
  signal?: AbortSignal
  /** Is told what runs; called often. */
  onProgress?: (progress: ChooseProgress) => void
}

/** The study was stopped by its signal; all but the running jobs has been kept. */
export class ChooseInterrupted extends Error {
  override readonly name = 'ChooseInterrupted'
  /** The results so far. */
  readonly results: ChooseResults

  constructor(results: ChooseResults) {
    super(`choosing was interrupted after ${results.runs.length} runs were begun`)
    this.results = results
  }
}

/** Defaults of `choose`. */
export const chooseDefaults = {
  baseline: 'adamW',
  runs: 46,
  seed: 1,
  seeds: confirmationSeeds,
  nonFinite: 'stop',
} as const

/** What `prior` says to use nothing. */
const noPrior = 'none'

/** What decides: how candidates are made, which are trained how far, and the test at the end. @internal */
export interface ChooseParts {
  policy: Policy<unknown>
  candidates(
    contenders: readonly { name: string; search: SearchSpace }[],
    task: string,
    prior: string | undefined,
  ): Candidate[]
  /** Full runs that the baseline is tuned with, of so many for choosing. */
  guaranteed(choosing: number): number
  /** The fewest fresh seeds with which a claim is possible, after so many tests before. */
  fewestSeeds(earlierTests: number): number
  /**
   * The test of the pick against the best of the baseline, by their metrics on the same fresh seeds (smaller is better, `Infinity` for a
   * run that did not finish).
   */
  confirm(pick: readonly number[], baseline: readonly number[], earlierTests: number): ConfirmationRecord
}

/**
 * The level of the test after so many before: half the one before, so that continuing a study until a claim comes out is no way to get one;
 * all tests of a study together confirm a pick that is no better in less than 10 of 100 cases.
 */
function levelAfter(earlierTests: number): number {
  return confirmationLevel / 2 ** earlierTests
}

const parts: ChooseParts = {
  policy: defaultPolicy,
  candidates: (contenders, task, prior) =>
    candidatesOf(
      contenders,
      prior === noPrior ? null : readPrior(task, prior === undefined ? undefined : readLearnt(prior)),
    ),
  guaranteed: guaranteedRuns,
  fewestSeeds: (earlierTests) => fewestSeeds(levelAfter(earlierTests)),
  confirm(pick, baseline, earlierTests) {
    const { confirmed, level, pValue, seeds, wins } = confirm(pick, baseline, levelAfter(earlierTests))
    const test = "Wilcoxon's signed-rank test of the paired metrics at the end, one-sided, exact"
    return { test, better: wins, count: seeds, p: pValue, level, confirmed }
  },
}

/**
 * Says which optimizer to use on a task, with which setting: candidates spread over the contenders are trained, those that look worse are
 * dropped on the way, the best at the end run on further seeds, and the pick is compared with the baseline at its best setting on fresh
 * seeds, by a test that is fixed beforehand. Cost is counted in gradients: a full run computes as many as the task's budget has steps,
 * whatever the optimizer. With one seed the answer is the same for any number of workers and however often it was interrupted.
 *
 * ```ts
 * import { choose } from '@fallline/race'
 *
 * const results = await choose({ task: 'digits-softmax', optimizers: ['adamW', 'lion', 'adan'], runs: 40 })
 * console.log(results.answer?.sentence)
 * console.log(results.answer?.code?.code?.fallline)
 * ```
 *
 * @throws Error for unknown optimizers, RangeError for other options that make no sense
 * @throws TaskLoadError when the task is unknown or its module cannot be loaded, BrokenTaskError when it does not repeat itself
 * @throws StorageError when the output directory cannot be used
 * @throws ChooseInterrupted when `signal` is aborted; the same call resumes the study from `out`
 */
export function choose(options: ChooseOptions): Promise<ChooseResults> {
  return chooseWith(options, parts)
}

/** Largest numbers that are taken for intended. */
const most = {
  runs: 1_000_000,
  seeds: 10_000,
  seed: 0xffff_ffff,
  steps: 1_000_000_000,
  workers: 1024,
  more: 1_000_000,
} as const

/** `choose` with other parts. @internal */
export async function chooseWith(options: ChooseOptions, parts: ChooseParts): Promise<ChooseResults> {
  const seed = whole('seed', options.seed ?? chooseDefaults.seed, 0)
  const seeds = whole('seeds', options.seeds ?? chooseDefaults.seeds, parts.fewestSeeds(0))
  const workers = whole('workers', options.workers ?? availableParallelism(), 0)
  const nonFinite = options.nonFinite ?? chooseDefaults.nonFinite
  if (nonFinite !== 'stop' && nonFinite !== 'skip') {
    throw new RangeError(`nonFinite is '${String(nonFinite)}'; it must be 'stop' or 'skip'`)
  }
  const asked = budgetOf(options, seeds)
  const more = options.more === undefined ? 0 : whole('more', options.more, 2 * seeds + 1)
  if (more > 0 && options.out === undefined)
    throw new RangeError('more continues the study in a directory: give it as out')
  if (more > 0 && options.fresh) throw new RangeError('more continues a study and fresh starts over: give one of them')
  const module = typeof options.task === 'string' ? await loadTaskModule(options.task) : null
  const declared = module?.task ?? defineTask(options.task as Task)
  try {
    const field = fieldOf(options, module)
    const horizon = whole('steps', options.steps ?? declared.budget.steps, 1)
    const planned = plan({ declared, options, parts, field, seed, seeds, nonFinite, asked, horizon })
    const store = options.out === undefined ? new MemoryStore() : new DirectoryStore(options.out)
    const results = takeUp(planned, store, options, more, parts)
    if (results.runs.length === 0) await checkTask(declared)
    const study = new Study({
      results,
      task: declared,
      taskName: typeof options.task === 'string' ? options.task : null,
      own: module?.contenders ?? [],
      entries: field.entries,
      policy: parts.policy,
      store,
      workers,
      signal: options.signal,
      onProgress: options.onProgress,
    })
    try {
      if (!results.complete) await run(results, study, field, parts, options)
    } finally {
      await study.close()
    }
    if (store instanceof DirectoryStore) {
      tidy(store, results)
      // The charting library is slow to load and not needed before.
      const { renderChooseReport } = await import('./report.ts')
      store.report(renderChooseReport(results))
    }
    return results
  } finally {
    if (typeof options.task === 'string') declared.dispose?.()
  }
}

interface Field {
  entries: { entry: Entry; given: ContenderLike }[]
  baseline: string
}

/** The contenders, the baseline among them; the module of a task may have contenders and ranges of its own. */
function fieldOf(options: ChooseOptions, module: TaskModule | null): Field {
  const { contenders: own = [], ranges = {} } = module ?? {}
  const wanted = options.baseline ?? chooseDefaults.baseline
  const given = options.optimizers ?? [...registry.map(({ definition }) => definition.name), ...own]
  const resolved = (one: ContenderLike): ContenderLike => {
    if (typeof one !== 'string') return one
    const found = own.find(({ name }) => name.toLowerCase() === one.toLowerCase())
    if (found) return found
    try {
      return findOptimizer(one)
    } catch (error) {
      throw new RangeError((error as Error).message, { cause: error })
    }
  }
  const entriesOf = (list: readonly ContenderLike[]) => {
    const entered = enter(list.map(resolved))
    return withRanges(entered, presentRanges(ranges, entered)).map((entry, index) => ({
      entry,
      given: resolved(list[index]!),
    }))
  }
  const entries = entriesOf(given)
  const same = ({ entry }: { entry: Entry }) => entry.name.toLowerCase() === wanted.toLowerCase()
  if (!entries.some(same)) entries.push(...entriesOf([wanted]))
  return { entries, baseline: entries.find(same)!.entry.name }
}

function budgetOf({ runs, minutes }: ChooseOptions, seeds: number): { runs: number } | { minutes: number } {
  if (runs !== undefined && minutes !== undefined) {
    throw new RangeError('runs and minutes are both given; the budget is one of them')
  }
  if (minutes !== undefined) {
    if (!Number.isFinite(minutes) || minutes <= 0)
      throw new RangeError(`minutes is ${minutes}; it must be a number above 0`)
    return { minutes }
  }
  const budget = whole('runs', runs ?? chooseDefaults.runs, 1)
  checkRuns(budget, seeds)
  return { runs: budget }
}

function checkRuns(runs: number, seeds: number): void {
  const least = 2 * seeds + 2
  if (runs < least) {
    throw new RangeError(
      `runs is ${runs}; with ${seeds} fresh seeds for each of two settings, ${2 * seeds} runs are for the comparison, so it must be at least ${least}, or seeds fewer`,
    )
  }
}

interface Plan {
  declared: Task
  options: ChooseOptions
  parts: ChooseParts
  field: Field
  seed: number
  seeds: number
  nonFinite: NonFinite
  asked: { runs: number } | { minutes: number }
  horizon: number
}

/** A study before its first run. */
function plan({ declared, options, parts, field, seed, seeds, nonFinite, asked, horizon }: Plan): ChooseResults {
  const results: ChooseResults = {
    format: 'fallline choose results',
    version: chooseVersion,
    complete: false,
    fingerprint: '',
    versions: packageVersions(),
    startedAt: new Date().toISOString(),
    finishedAt: null,
    milliseconds: 0,
    machine: machineRecord(),
    task: taskRecord(declared),
    protocol: {
      seed,
      asked,
      runs: 0,
      added: [],
      speed: null,
      horizon,
      evaluateEvery: Math.min(declared.budget.evaluateEvery, horizon),
      confirmationSeeds: seeds,
      split: { choosing: 0, confirmation: 2 * seeds },
      baseline: { name: field.baseline, guaranteed: 0 },
      policy: { name: parts.policy.name, description: parts.policy.description },
      nonFinite,
      studySeeds: [],
      freshSeeds: [],
    },
    contenders: [],
    excluded: [],
    candidates: [],
    runs: [],
    decisions: [],
    policyState: null,
    pick: null,
    pickOfBaseline: null,
    fresh: null,
    earlier: [],
    confirmation: null,
    answer: null,
  }
  const { protocol } = results
  results.fingerprint = fingerprintOf({
    version: chooseVersion,
    versions: results.versions,
    task: results.task,
    code: sourceOf(options.task, declared),
    seed,
    horizon,
    evaluateEvery: protocol.evaluateEvery,
    seeds,
    nonFinite,
    baseline: field.baseline,
    policy: protocol.policy,
    // What is learnt on other tasks meanwhile does not start a study over that has begun.
    prior: options.prior,
    candidates: parts
      .candidates(
        field.entries.map(({ entry: { name, search } }) => ({ name, search })),
        results.task.name,
        undefined,
      )
      .map(({ group, setting }) => ({ group, setting })),
    contenders: field.entries.map(({ entry }) => identityOf(entry)),
  })
  return results
}

/** The study that lies in the directory, where it is of these settings, made ready to go on; otherwise a new one. */
function takeUp(
  planned: ChooseResults,
  store: MemoryStore | DirectoryStore,
  { fresh }: ChooseOptions,
  more: number,
  parts: ChooseParts,
): ChooseResults {
  if (store instanceof MemoryStore) return planned
  const earlier = fresh ? null : store.read()
  const same =
    earlier !== null &&
    earlier.fingerprint === planned.fingerprint &&
    (more > 0 || JSON.stringify(earlier.protocol.asked) === JSON.stringify(planned.protocol.asked))
  if (!same) {
    if (more > 0) {
      throw new RangeError(
        earlier === null
          ? `more continues a study, and there is none in ${store.directory}: run it without more first`
          : `more continues a study of the same settings, and the one in ${store.directory} is of other ones: run it without more first`,
      )
    }
    store.moveAside()
    return planned
  }
  store.keepOnly(earlier.runs.flatMap(({ checkpoint }) => (checkpoint === null ? [] : [checkpoint])))
  if (more > 0) extend(earlier, more, parts)
  return earlier
}

/** Adds to the budget. What was run is kept; what the comparison has seen is not used to choose by, and its seeds not again. */
function extend(results: ChooseResults, more: number, parts: ChooseParts): void {
  const { protocol, fresh, confirmation, earlier } = results
  if (protocol.runs === 0) throw new RangeError('more continues a study that has begun: run it without more first')
  const needed = parts.fewestSeeds(earlier.length + (fresh ? 1 : 0))
  if (protocol.confirmationSeeds < needed) {
    throw new RangeError(
      `this study has been tested ${earlier.length + 1} times, and ${protocol.confirmationSeeds} fresh seeds can confirm nothing at the level that is left: start a new one with at least ${needed} seeds`,
    )
  }
  protocol.runs += more
  protocol.added.push(more)
  if (fresh) results.earlier.push({ fresh, confirmation })
  divide(results, parts)
  results.complete = false
  results.finishedAt = null
  results.decisions = []
  results.policyState = null
  results.pick = null
  results.pickOfBaseline = null
  results.fresh = null
  results.confirmation = null
  results.answer = null
}

/** Divides the budget between choosing and comparing. */
function divide({ protocol, earlier, candidates }: ChooseResults, parts: ChooseParts): void {
  const spentBefore = earlier.reduce((sum, { fresh }) => sum + fresh.runs.length, 0)
  const confirmation = spentBefore + 2 * protocol.confirmationSeeds
  protocol.split = { choosing: protocol.runs - confirmation, confirmation }
  const settings = candidates.filter(({ group }) => group === protocol.baseline.name).length
  protocol.baseline.guaranteed = Math.min(settings, parts.guaranteed(protocol.split.choosing))
}

async function run(
  results: ChooseResults,
  study: Study,
  field: Field,
  parts: ChooseParts,
  options: ChooseOptions,
): Promise<void> {
  try {
    if (results.contenders.length === 0) await admit(results, study, field, parts, options)
    if (results.protocol.runs === 0) await setBudget(results, study, field, parts)
    study.write()
    await study.choose()
    const { pick, pickOfBaseline } = results
    if (pick !== null) {
      const { runs } = await study.compare(pick, pickOfBaseline ?? pick)
      const metrics = (candidate: number) =>
        runs.filter((run) => run.candidate === candidate).map((run) => judged(run, results.task.direction))
      if (pickOfBaseline !== null && results.candidates[pick]!.group !== results.protocol.baseline.name) {
        results.confirmation = parts.confirm(metrics(pick), metrics(pickOfBaseline), results.earlier.length)
      }
    }
    const givenOf = (name: string) => field.entries.find(({ entry }) => entry.name === name)!.given
    results.answer = answerOf(results, givenOf, study.task)
    results.complete = true
    results.finishedAt = new Date().toISOString()
    study.write()
    if (options.prior !== undefined && options.prior !== noPrior) {
      const searches = new Map(field.entries.map(({ entry: { name, search } }) => [name, search]))
      addLearnt(options.prior, learntFrom(results, searches))
    }
  } catch (error) {
    if (!options.signal?.aborted) throw error
    study.write()
    throw new ChooseInterrupted(results)
  }
}

/** What a fresh run is judged by: its last validation metric, smaller is better. */
function judged({ validation }: FreshRun, direction: 'minimize' | 'maximize'): number {
  return validation === null ? Infinity : direction === 'minimize' ? validation : -validation
}

/** Finds out who can take part and what their steps cost, and makes the candidates. */
async function admit(
  results: ChooseResults,
  study: Study,
  { entries, baseline }: Field,
  parts: ChooseParts,
  { onProgress, prior }: ChooseOptions,
): Promise<void> {
  const { horizon } = results.protocol
  const candidates = parts.candidates(
    entries.map(({ entry: { name, search } }) => ({ name, search })),
    results.task.name,
    prior,
  )
  let index = 0
  const tell = (stageEnded: boolean) =>
    onProgress?.({
      phase: 'checking',
      stage: 'what a step computes',
      index,
      count: entries.length,
      standing: [],
      done: 0,
      millisecondsLeft: null,
      stageEnded,
    })
  tell(false)
  const steps = await Promise.all(
    entries.map(async (contender) => {
      const { setting } = candidates.find(({ group }) => group === contender.entry.name)!
      const result = await study.pool.run(contender, { kind: 'step', setting, steps: horizon })
      index++
      tell(false)
      return result
    }),
  )
  tell(true)
  for (const [number, { gradients, failure }] of steps.entries()) {
    const { name, title, definition, schedule } = entries[number]!.entry
    if (gradients === null || gradients <= 0) {
      const reason = failure?.missing
        ? `not raced: ${failure.message}`
        : (failure?.message ?? 'a step computes no gradient')
      results.excluded.push({ name, title, reason, stack: failure?.missing ? null : (failure?.stack ?? null) })
      continue
    }
    results.contenders.push({
      name,
      title,
      ...(definition ? { paper: { ...definition.paper } } : {}),
      schedule,
      gradientsPerStep: gradients,
      steps: stepsOf(horizon, gradients),
    })
  }
  const out = results.excluded.find(({ name }) => name === baseline)
  if (out) throw new Error(`the baseline ${out.title} cannot take part: ${out.reason}`)
  const raced = new Set(results.contenders.map(({ name }) => name))
  results.candidates = candidates.filter(({ group }) => raced.has(group))
}

/** Probes of the speed per thread, the share of a run that each of them trains, how often at most, and in which share of the time. */
const probes = { perThread: 4, share: 0.1, rounds: 6, time: 0.03 } as const

/** Sets the budget; where it was asked for in minutes, from the speed of some candidates. */
async function setBudget(results: ChooseResults, study: Study, { entries }: Field, parts: ChooseParts): Promise<void> {
  const { protocol, candidates, contenders } = results
  const { asked, horizon, evaluateEvery, nonFinite, confirmationSeeds } = protocol
  if ('runs' in asked) protocol.runs = asked.runs
  else {
    const count = Math.min(candidates.length, probes.perThread * study.pool.size)
    const spread = Array.from(
      { length: count },
      (_, index) => candidates[Math.floor((index * candidates.length) / count)]!,
    )
    const probe = async () => {
      const start = performance.now()
      const ended = await Promise.all(
        spread.map(({ group, setting }) => {
          const contender = entries.find(({ entry }) => entry.name === group)!
          const { steps } = contenders.find(({ name }) => name === group)!
          const until = Math.max(1, Math.ceil(probes.share * horizon))
          const plan = { kind: 'train', setting, steps, seed: 1, evaluateEvery, nonFinite, from: null, until } as const
          return study.pool.run(contender, { ...plan, test: false })
        }),
      )
      const gradients = ended.reduce((sum, { state }) => sum + state.gradients, 0)
      return { gradients, took: performance.now() - start }
    }
    let { gradients, took } = await probe()
    const start = performance.now()
    // The first round is slow where a run is short, because engines have not compiled the task yet; the last one counts.
    for (
      let round = 1;
      round < probes.rounds && performance.now() - start < probes.time * asked.minutes * 60_000;
      round++
    ) {
      ;({ gradients, took } = await probe())
    }
    const left = asked.minutes * 60_000 - study.milliseconds
    protocol.runs = Math.floor((Math.max(0, left) * gradients) / (took * horizon))
    protocol.speed = `${spread.length} candidates from all over the field were trained for ${formatNumber(100 * probes.share)} % of a run each: ${formatNumber((1000 * gradients) / took, 3)} gradients a second on ${study.pool.size} ${study.pool.size === 1 ? 'thread' : 'threads'}, so ${protocol.runs} full runs in the ${formatDuration(Math.max(0, left))} left`
    const least = 2 * confirmationSeeds + 2
    if (protocol.runs < least) {
      throw new RangeError(
        `minutes is ${asked.minutes}; that is enough for ${protocol.runs} full runs here, and ${least} are needed with ${confirmationSeeds} fresh seeds: give more minutes, or fewer seeds`,
      )
    }
  }
  divide(results, parts)
}

/** Removes the checkpoints that nobody needs; those of paused runs are kept for `more` as long as they are small. */
function tidy(store: DirectoryStore, results: ChooseResults): void {
  const paused = results.runs.flatMap(({ checkpoint }) => (checkpoint === null ? [] : [checkpoint]))
  const kept = store.canKeep(paused) ? paused : []
  if (kept.length < paused.length) {
    for (const run of results.runs) run.checkpoint = null
    store.write(results)
  }
  store.keepOnly(kept)
}

function whole(name: keyof typeof most, value: number, least: number): number {
  return wholeNumber(name, value, least, most[name])
}
