import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { Storage, Study, Trial } from '@fallline/search'
import { memoryStorage, NothingToTry, openStudy } from '@fallline/search/internal'
import { type Backend, type CompiledOptimizer, compile, wasm } from 'fallline'
import { analyse, plannedRuns, runsInPlay } from './analysis.ts'
import { machineRecord, packageVersions, sourceOf, taskRecord, wholeNumber } from './environment.ts'
import { loadTaskModule } from './load-task.ts'
import { arrivalsOf } from './protocol/arrivals.ts'
import { type StudyPlan, type StudyRun, seedsOfStudy, selectTrial } from './protocol/study.ts'
import {
  courseOfContender,
  mostErrors,
  outcomeValue,
  type Planned,
  plannedIn,
  raceKey,
  raceSampler,
  raceSpace,
  runAttribute,
  runOfTrial,
  trialOfRun,
} from './protocol/trials.ts'
import { type Claim, type ProtocolRecord, type RaceResults, type RunRecord, resultsVersion } from './results.ts'
import { shiftedSobol } from './search/sequence.ts'
import type { SearchSpace, Setting } from './search/space.ts'
import { fingerprintOf, Store } from './store.ts'
import { defineTask, layoutOf, type Task } from './task.ts'
import { checkTask } from './training/check-task.ts'
import {
  type ContenderLike,
  type Entry,
  enter,
  identityOf,
  presentRanges,
  recordOf,
  withRanges,
} from './training/contenders.ts'
import { costBlocks, measureCosts } from './training/cost.ts'
import { gradientsPerStep, stepsOf } from './training/cost-of-a-step.ts'
import { MissingInputError } from './training/evaluate.ts'
import { runOn } from './training/run.ts'
import { gradientsToTargets, type NonFinite } from './training/training.ts'

/** How a race is run. */
export interface RaceOptions {
  /** A task, which is left for the caller to dispose, or the name of a built-in one, or the path of a task module. */
  task: Task | string
  /** Names of registered optimizers or of contenders that the task module exports, factories, definitions, or contenders of your own. */
  optimizers: readonly ContenderLike[]
  /**
   * What the verdict is about. `optimizers` (default): several independent studies per contender, each with a tuning of its own and a
   * fresh run, so that the luck of the tuning is in the intervals. `settings`: one tuning with more trials, the best three rerun on
   * two more seeds, and fresh runs of the one setting that is selected.
   */
  claim?: Claim
  /** Independent studies per contender. Default 8 for the claim `optimizers`, at least 3 to claim a difference; 1 for `settings`. */
  studies?: number
  /** Tuning trials in every study. Default 4 for the claim `optimizers`, 16 for `settings`. */
  trials?: number
  /** Fresh seeds in every study. Default 1 for the claim `optimizers`; 8 for `settings`, at least 3 to claim a difference. */
  seeds?: number
  /**
   * Where the schedules of fresh runs end. `full` (default): at the end of the budget. `matched`: at nine horizons from the whole budget to a
   * quarter of it, and every target counts with the horizon that reaches it first, because one long schedule makes a fast optimizer wait
   * for its end. Costs 5.3 times as much per fresh run.
   */
  horizons?: 'full' | 'matched'
  /** What a number that is not finite does: `stop` (default) ends the run as diverged, `skip` leaves the step out and counts it. */
  nonFinite?: NonFinite
  /** Seed of the study: decides the tuning points, all training seeds and the order of the runs. Default 1. */
  seed?: number
  /** Gradients of every run. Default: the budget of the task. */
  steps?: number
  /** Targets, easiest first. Default: those the task declares. */
  targets?: readonly number[]
  /** Ranges instead of those that contenders and the task module declare, by contender and hyperparameter. */
  ranges?: Readonly<Record<string, SearchSpace>>
  /** Leave optimizers out that the task cannot feed, instead of refusing the race. Default false. */
  leaveOut?: boolean
  /** Where the optimizers run. Default `wasm()`, one thread. */
  backend?: Backend
  /** Directory for `results.json` and `report.html`. Default: nothing is written. */
  out?: string
  /** Start over although the directory has results of the same settings. Default false. */
  fresh?: boolean
  /**
   * Where the runs are kept as trials of a study, which `helpRace` shares with other processes and machines: a place that `studiesAt` of
   * `@fallline/search/sql` opens. Default: the memory of this process.
   */
  storage?: Storage
  /** Milliseconds without a sign of life after which a run is done again by somebody else. Default 60000. */
  patience?: number
  /** Is told the study before the first run. */
  onStudy?: (study: Study) => Promise<void> | void
  /** Stops the race after the current step; the promise rejects with RaceInterrupted. */
  signal?: AbortSignal
  /** Is told what runs; called often. */
  onProgress?: (progress: RaceProgress) => void
}

/** Where a race is. */
export interface RaceProgress {
  phase: 'tuning' | 'final' | 'report' | 'cost'
  contender: string
  title: string
  /** Number of the study, from 1, and how many there are. */
  study: number
  studies: number
  /** Number of the current run, or block of the cost measurement, from 1, and how many there are. */
  index: number
  count: number
  setting: Setting
  /** Steps done in the current run, and its length. */
  step: number
  steps: number
  /** Share of the whole race that is done, from 0 to 1. */
  done: number
  /** Milliseconds until the end at the present speed, `null` as long as nothing can be said. */
  millisecondsLeft: number | null
  /** The run that has just ended. */
  finished?: RunRecord
}

/** The race was stopped by its signal; what was finished has been kept. */
export class RaceInterrupted extends Error {
  override readonly name = 'RaceInterrupted'
  /** The results so far. */
  readonly results: RaceResults
  /** How many runs the race would have taken. */
  readonly planned: number

  constructor(results: RaceResults, planned: number) {
    super(`the race was interrupted after ${results.runs.length} of ${planned} runs`)
    this.results = results
    this.planned = planned
  }
}

/** Defaults of `race` by claim. */
export const raceDefaults = {
  optimizers: { studies: 8, trials: 4, finalists: 0, finalSeeds: 0, seeds: 1 },
  settings: { studies: 1, trials: 16, finalists: 3, finalSeeds: 2, seeds: 8 },
  seed: 1,
} as const

/** Shares of the budget at which schedules end where horizons are matched: down to a quarter, in steps of 2^(1/4). */
export const matchedHorizons: readonly number[] = Array.from({ length: 9 }, (_, index) => 2 ** (-index / 4))

/** Milliseconds without a sign of life after which a run is done again by somebody else, unless asked for otherwise. */
export const racePatience = 60_000

/** Milliseconds between two looks at what others do, where there is nothing to do here. */
const nap = 250

/** Signs of life within the time after which a silent process is given up. */
const beatsPerPatience = 4

/** Largest numbers of runs that are taken for intended. */
const most = { trials: 10_000, seeds: 10_000, studies: 10_000, seed: 0xffff_ffff, steps: 1_000_000_000 } as const

/**
 * Races optimizers on a task by one protocol for all: equally many tuning trials per contender over ranges that grow where the best
 * value lies at their edge, selection by the quantity that is judged, fresh runs on seeds that all share, several targets, the clocks of
 * gradients and of time, and a claim only where it survives everything that was compared and every look. A run that diverges or fails
 * misses all targets and stops nobody else.
 *
 * With `out`, more studies, seeds or contenders continue what the directory holds; every new comparison is a further look, which is
 * paid for with a stricter level.
 *
 * ```ts
 * import { race } from '@fallline/race'
 *
 * const results = await race({ task: 'digits-softmax', optimizers: ['adamW', 'lion'], studies: 3, trials: 2, steps: 40 })
 * console.log(results.analysis?.gradients.verdict)
 * ```
 *
 * @throws RangeError for unknown optimizers, those that need what the task does not give, and other options that make no sense
 * @throws TypeError for what is no contender
 * @throws BrokenTaskError when the task gives different results for the same arguments, or throws
 * @throws TaskLoadError when the task is unknown or its module cannot be loaded
 * @throws StorageError when the output directory cannot be used
 * @throws RaceInterrupted when `signal` is aborted; the same call resumes the race from `out`
 */
export async function race(options: RaceOptions): Promise<RaceResults> {
  const raced = await prepare(options)
  const { results, entries, task, backend } = raced
  try {
    const store = options.out === undefined ? null : new Store(options.out)
    if (store && options.fresh) store.moveAside()
    const earlier = store?.resume(results.fingerprint) ?? null
    const state = earlier === null ? results : continued(earlier, results)
    const marshal = new Marshal({ options, state, entries, task, backend, store })
    try {
      if (!state.complete) await marshal.run()
      if (store) {
        // The charting library is slow to load and not needed before.
        const { renderReport } = await import('./report/report.ts')
        store.write('report', renderReport(state))
      }
      return state
    } finally {
      marshal.dispose()
    }
  } finally {
    raced.dispose()
  }
}

/**
 * Helps with a race that others run, from another process or machine: takes up its runs in `storage` until all have ended. The options
 * must be those of the race; what compares, and writes results, is left to `race`.
 *
 * @returns how many runs were done here
 * @throws RangeError when the race is not there, and what `race` throws; RaceInterrupted when `signal` is aborted, and what was not finished is given back at once
 */
export async function helpRace(options: RaceOptions & { storage: Storage }): Promise<number> {
  const raced = await prepare(options)
  const { results, entries, task, backend } = raced
  try {
    await checkIsThere(options.storage, results)
    return await new Marshal({ options, state: results, entries, task, backend, store: null }).help()
  } finally {
    raced.dispose()
  }
}

async function checkIsThere(storage: Storage, results: RaceResults): Promise<void> {
  const name = studyNameOf(results)
  if ((await storage.find(name)) !== null) return
  const races = (await storage.names()).filter((each) => each.startsWith(racePrefix))
  const there = races.length === 0 ? 'no race at all' : races.join(', ')
  throw new RangeError(
    `there is no race ${name} to help with, but ${there}: options, the module of the task and versions must be those of the race`,
  )
}

const racePrefix = 'race-'

/** Name of the study of a race: the same for all who run the same race. */
function studyNameOf({ fingerprint, contenderFingerprints, protocol, task }: RaceResults): string {
  const { studies, seeds } = protocol
  return `${racePrefix}${task.name}-${fingerprintOf({ fingerprint, contenderFingerprints, studies, seeds }).slice(0, 8)}`
}

/** The field and the task of a race, and its results before the first run. */
async function prepare(options: RaceOptions) {
  const claim = options.claim ?? 'optimizers'
  if (claim !== 'optimizers' && claim !== 'settings') {
    throw new RangeError(`claim is '${String(claim)}'; it must be 'optimizers' or 'settings'`)
  }
  const defaults = raceDefaults[claim]
  const trials = whole('trials', options.trials ?? defaults.trials, 1)
  const studies = whole('studies', options.studies ?? defaults.studies, 1)
  if (claim === 'settings' && studies !== 1) {
    throw new RangeError(
      `studies is ${studies}; the claim 'settings' is about one tuning (more seeds make its verdict sharper)`,
    )
  }
  const seeds = whole('seeds', options.seeds ?? defaults.seeds, 1)
  const seed = whole('seed', options.seed ?? raceDefaults.seed, 0)
  const horizons = options.horizons ?? 'full'
  if (horizons !== 'full' && horizons !== 'matched') {
    throw new RangeError(`horizons is '${String(horizons)}'; it must be 'full' or 'matched'`)
  }
  const nonFinite = options.nonFinite ?? 'stop'
  if (nonFinite !== 'stop' && nonFinite !== 'skip') {
    throw new RangeError(`nonFinite is '${String(nonFinite)}'; it must be 'stop' or 'skip'`)
  }
  const patience = options.patience ?? racePatience
  if (!(patience > 0)) throw new RangeError(`patience is ${patience}; it must be a number of milliseconds above 0`)
  const { task: declared, ...own } =
    typeof options.task === 'string'
      ? await loadTaskModule(options.task)
      : { task: defineTask(options.task), contenders: [], ranges: {} }
  const dispose = () => {
    if (typeof options.task === 'string') declared.dispose?.()
  }
  try {
    const resolved = options.optimizers.map((given) => own.contenders.find(({ name }) => name === given) ?? given)
    const field = enter(resolved)
    const entered = withRanges(field, presentRanges(own.ranges, field), options.ranges ?? {})
    const task = adjusted(declared, options)
    await checkTask(task, seed)
    const { entries, costs, leftOut } = await feedable(entered, task, options.leaveOut ?? false)
    const backend = options.backend ?? wasm()
    const protocol: ProtocolRecord = {
      claim,
      seed,
      studies,
      trials,
      finalists: Math.min(defaults.finalists, trials),
      finalSeeds: trials > 1 ? defaults.finalSeeds : 0,
      seeds,
      horizons: horizons === 'matched' ? [...matchedHorizons] : [1],
      nonFinite,
    }
    const results = emptyResults({ task, backend, options, protocol, entries, costs, leftOut })
    const { studies: _, seeds: __, ...kept } = protocol
    results.fingerprint = fingerprintOf({
      version: resultsVersion,
      versions: results.versions,
      backend: backend.name,
      task: results.task,
      code: sourceOf(options.task, task),
      protocol: kept,
    })
    results.contenderFingerprints = Object.fromEntries(
      entries.map((entry) => [entry.name, fingerprintOf(identityOf(entry))]),
    )
    return { results, entries, task, backend, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

/** Which contenders the task can feed, with the gradients that a step of each computes. */
async function feedable(entered: readonly Entry[], task: Task, leaveOut: boolean) {
  const costs = new Map<string, number>()
  const leftOut: { name: string; reason: string }[] = []
  for (const { name, search, create } of entered) {
    const setting = Object.fromEntries(
      Object.entries(search).map(([key, range]) => [key, range.scale === 'choice' ? range.values[0]! : range.minimum]),
    )
    try {
      costs.set(name, await gradientsPerStep(create(setting, Math.max(1, task.budget.steps)), task))
    } catch (error) {
      if (error instanceof MissingInputError) leftOut.push({ name, reason: error.message })
      // Other errors come back in the first trial, which says why.
      else costs.set(name, 1)
    }
  }
  if (leftOut.length > 0 && (!leaveOut || costs.size === 0)) {
    throw new RangeError(
      `${leftOut.map(({ name, reason }) => `${name} cannot be raced on '${task.name}': ${reason}`).join('; ')}`,
    )
  }
  return { entries: entered.filter(({ name }) => costs.has(name)), costs, leftOut }
}

/** Earlier results with the contenders, studies and seeds of a new call; runs of contenders that have changed are dropped. */
function continued(earlier: RaceResults, wanted: RaceResults): RaceResults {
  const unchanged = (name: string) => earlier.contenderFingerprints[name] === wanted.contenderFingerprints[name]
  const known = (name: string) => name in wanted.contenderFingerprints
  const sameField =
    wanted.contenders.every(
      ({ name }) => earlier.contenders.some((record) => record.name === name) && unchanged(name),
    ) && earlier.contenders.length === wanted.contenders.length
  const { studies, seeds } = earlier.protocol
  if (sameField && studies === wanted.protocol.studies && seeds === wanted.protocol.seeds) return earlier
  return {
    ...wanted,
    startedAt: earlier.startedAt,
    // Who does not race now may come back.
    contenderFingerprints: { ...earlier.contenderFingerprints, ...wanted.contenderFingerprints },
    runs: earlier.runs.filter(({ contender }) => !known(contender) || unchanged(contender)),
    looks: earlier.looks,
  }
}

interface MarshalOptions {
  options: Pick<RaceOptions, 'storage' | 'patience' | 'fresh' | 'signal' | 'onProgress' | 'onStudy'>
  state: RaceResults
  entries: readonly Entry[]
  task: Task
  backend: Backend
  store: Store | null
}

/** Runs what is missing of a race, alone or with others; the runs depend on nothing but the settings. */
class Marshal {
  readonly #options: MarshalOptions
  readonly #signal: AbortSignal | undefined
  readonly #field: readonly Planned[]
  readonly #measured = new Map<string, CompiledOptimizer>()
  readonly #start = performance.now()
  readonly #planned: number
  /** Which runs `state` has. */
  readonly #known: Set<string>
  #doneBefore = 0
  #done = 0
  #lastWrite = 0

  constructor(options: MarshalOptions) {
    this.#options = options
    const { state, entries } = options
    this.#signal = options.options.signal
    this.#field = entries.map((entry) => ({
      name: entry.name,
      plans: Array.from({ length: state.protocol.studies }, (_, study) => planOf(state, entry, study)),
    }))
    this.#planned = plannedRuns(state)
    this.#known = new Set(state.runs.map(raceKey))
  }

  async run(): Promise<void> {
    const { state, store, entries } = this.#options
    try {
      await this.#work()
      await this.#measure()
      this.#order()
      const { studies, seeds } = state.protocol
      const contenders = entries.map(({ name }) => name)
      const look = { contenders, studies, seeds, at: new Date().toISOString() }
      const same = state.looks.findIndex(
        (other) => other.studies === studies && other.seeds === seeds && other.contenders.join() === contenders.join(),
      )
      if (same < 0) state.looks.push(look)
      state.analysis = analyse(state, same < 0 ? state.looks.length : same + 1)
      state.finishedAt = look.at
      state.complete = true
      store?.write('results', JSON.stringify(state))
    } catch (error) {
      if (!this.#signal?.aborted) throw error
      store?.write('results', JSON.stringify(state))
      throw new RaceInterrupted(state, this.#planned)
    }
  }

  /** Does runs until all have ended; gives how many. */
  async help(): Promise<number> {
    try {
      return await this.#work()
    } catch (error) {
      if (!this.#signal?.aborted) throw error
      throw new RaceInterrupted(this.#options.state, this.#planned)
    }
  }

  async #work(): Promise<number> {
    const study = await this.#study()
    let done = 0
    this.#doneBefore = this.#done = runsInPlay(this.#options.state).length
    for (;;) {
      this.#signal?.throwIfAborted()
      try {
        const trial = await study.ask()
        if (await this.#train(study, trial)) done++
      } catch (error) {
        if (!(error instanceof NothingToTry)) throw error
        await this.#takeIn(study)
        if (error.forever) return done
        await pause(nap, undefined, { signal: this.#signal })
      }
    }
  }

  /** The study whose trials are the runs, with those that `state` knows already. */
  async #study(): Promise<Study> {
    const { state, entries, options } = this.#options
    const { storage = memoryStorage(), fresh, onStudy } = options
    const name = studyNameOf(state)
    if (fresh && (await storage.find(name)) !== null) await storage.remove(name)
    const { seed } = state.protocol
    const { direction, targets } = state.task
    const study = await openStudy<unknown>({
      space: raceSpace(entries, state.protocol),
      name,
      objectives: direction,
      sampler: raceSampler(this.#field, { direction, targets }),
      seed,
      storage,
      worker: `${hostname()}, process ${process.pid}`,
      patience: this.#patience,
    })
    await onStudy?.(study)
    const before = [...state.runs]
    const there = new Set((await study.trials()).map((trial) => raceKey(plannedIn(study.space, trial))))
    await this.#takeIn(study)
    const missing = before.filter((run) => !there.has(raceKey(run)))
    const trials = missing.map((run) => trialOfRun(study.space, run, direction)).filter((trial) => trial !== null)
    await storage.add(name, trials)
    return study
  }

  /** Silence counts only where somebody else could go on. */
  get #patience(): number {
    const { storage, patience = racePatience } = this.#options.options
    return storage === undefined ? Infinity : patience
  }

  /** Takes in what others have done. */
  async #takeIn(study: Study): Promise<void> {
    const { state, entries } = this.#options
    for (const trial of await study.trials()) {
      const kept = runOfTrial(study.space, trial, state.task.targets)
      if (kept === null || this.#known.has(raceKey(kept))) continue
      const { compileMilliseconds, ...run } = kept
      this.#keep(run, compileMilliseconds)
      this.#done++
      const entry = entries.find(({ name }) => name === run.contender)!
      this.#tell(entry, run.study, run.setting, run.phase, run.steps, run.steps, undefined, run)
    }
  }

  #keep(run: RunRecord, compileMilliseconds: number | null): void {
    const { state, store } = this.#options
    if (this.#known.has(raceKey(run))) return
    this.#known.add(raceKey(run))
    state.runs.push(run)
    if (compileMilliseconds !== null) {
      state.contenders.find(({ name }) => name === run.contender)!.compileMilliseconds.push(compileMilliseconds)
    }
    if (store === null) return
    // The whole file is written each time; large races write less often and lose a second at most.
    const now = performance.now()
    if (state.runs.length < 200 || now - this.#lastWrite > 1000) {
      store.write('results', JSON.stringify(state))
      this.#lastWrite = now
    }
  }

  /** Puts the runs in an order that does not depend on who did them when, and leaves out those that came after the errors of a contender. */
  #order(): void {
    const { state, entries } = this.#options
    const places = new Map<string, number>()
    const withdrawn = new Set<string>()
    for (const contender of this.#field) {
      const { name: contenderName, plans } = contender
      const runs = plans.map((_, study) => studyRuns(state, contenderName, study))
      const course = courseOfContender(contender, runs).runs
      for (const [place, { study, planned }] of course.entries()) {
        places.set(raceKey({ contender: contenderName, study, ...planned }), place)
      }
      if (course.filter(({ ended }) => ended?.outcome === 'failed').length >= mostErrors) withdrawn.add(contenderName)
    }
    const { studies } = state.protocol
    state.runs = state.runs.filter(
      (run) => !withdrawn.has(run.contender) || run.study >= studies || places.has(raceKey(run)),
    )
    const contenders = new Map(entries.map(({ name }, index) => [name, index]))
    const placeOf = (run: RunRecord) => places.get(raceKey(run)) ?? Number.MAX_SAFE_INTEGER
    state.runs.sort(
      (a, b) =>
        a.study - b.study ||
        (contenders.get(a.contender) ?? -1) - (contenders.get(b.contender) ?? -1) ||
        placeOf(a) - placeOf(b),
    )
  }

  dispose(): void {
    for (const optimizer of this.#measured.values()) optimizer.dispose()
  }

  #withdrawn({ name }: Entry): boolean {
    const failed = this.#options.state.runs.filter(
      ({ contender, outcome }) => contender === name && outcome === 'failed',
    )
    return failed.length >= mostErrors
  }

  async #measure(): Promise<void> {
    const { state, entries, task, backend } = this.#options
    const signal = this.#signal
    if (state.costs !== null) return
    for (const entry of entries) {
      const setting = firstSelected(state, entry)
      if (setting === null || this.#withdrawn(entry)) continue
      try {
        const optimizer = await compile(entry.create(setting, runSteps(state, entry.name, 1)), task.parameters, {
          nonFinite: 'skip',
          backend,
          ...layoutOf(task),
        })
        this.#measured.set(entry.name, optimizer)
      } catch {
        // It has run before; without a cost it has no comparison by time, which a remark says.
      }
    }
    if (this.#measured.size === 0) return
    const progress = (index: number, count: number) => this.#tell(entries[0]!, 0, {}, 'cost', 0, 0, { index, count })
    progress(0, this.#measured.size * costBlocks)
    try {
      const { seed } = state.protocol
      state.costs = await measureCosts({
        task,
        optimizers: this.#measured,
        trainingSeed: seedsOfStudy(seed, 0, 0, 0).tuning,
        seed,
        signal,
        onBlock: progress,
      })
      state.costFailure = null
    } catch (error) {
      signal?.throwIfAborted()
      // The comparison by gradients stands without step costs.
      state.costFailure = error instanceof Error ? error.message : String(error)
    }
  }

  /** Does a run and tells its trial; `false` when somebody else has taken it over meanwhile. */
  async #train(study: Study, trial: Trial): Promise<boolean> {
    const { state, entries, task, backend } = this.#options
    const planned = plannedIn(study.space, trial.record)
    const { contender, study: number, phase, seed, horizon, setting } = planned
    const entry = entries.find(({ name }) => name === contender)!
    const start = performance.now()
    const steps = runSteps(state, contender, horizon)
    const before = this.#done
    this.#tell(entry, number, setting, phase, 0, steps)
    const plan = {
      setting,
      steps,
      seed,
      evaluateEvery: task.budget.evaluateEvery,
      nonFinite: state.protocol.nonFinite,
      from: null,
      until: Infinity,
      test: phase === 'report',
    }
    const lease = new Beating(study, trial, this.#patience, this.#signal)
    try {
      const {
        state: training,
        test,
        compileMilliseconds,
      } = await runOn(task, entry, plan, backend, {
        signal: lease.signal,
        onStep: (step) => {
          this.#done = before + step / steps
          this.#tell(entry, number, setting, phase, step, steps)
        },
      })
      const { outcome, message, stack, step, gradients, skipped, curve } = training
      const record: RunRecord = {
        ...planned,
        outcome: outcome!,
        ...(message === undefined ? {} : { message }),
        ...(stack === undefined ? {} : { stack }),
        steps: step,
        gradients: Math.round(gradients * 1000) / 1000,
        skipped,
        curve,
        validation: outcome === 'finished' ? curve.validation.at(-1)! : null,
        test,
        gradientsToTarget: gradientsToTargets(training, task.targets, task.direction),
        milliseconds: performance.now() - start,
      }
      await tell(study, trial, record, compileMilliseconds)
      this.#done = before + 1
      this.#keep(record, compileMilliseconds)
      this.#tell(entry, number, setting, phase, steps, steps, undefined, record)
      return true
    } catch (error) {
      this.#done = before
      if (this.#signal?.aborted && !lease.isLost) await study.giveBack(trial)
      else if (lease.isLost || !(await study.beat(trial))) return false
      throw error
    } finally {
      lease.end()
    }
  }

  #tell(
    entry: Entry,
    study: number,
    setting: Setting,
    phase: RaceProgress['phase'],
    step: number,
    steps: number,
    block?: { index: number; count: number },
    finished?: RunRecord,
  ): void {
    const { state } = this.#options
    const { onProgress } = this.#options.options
    if (onProgress === undefined) return
    // The micro-race is short; it is counted as one more run.
    const total = this.#planned + 1
    const done = block ? this.#planned + block.index / block.count : this.#done
    const inThisSession = done - this.#doneBefore
    const elapsed = performance.now() - this.#start
    onProgress({
      phase,
      contender: entry.name,
      title: entry.title,
      study: study + 1,
      studies: state.protocol.studies,
      index: block?.index ?? Math.min(this.#planned, Math.floor(this.#done) + (finished ? 0 : 1)),
      count: block?.count ?? this.#planned,
      setting,
      step,
      steps,
      done: Math.min(1, done / total),
      millisecondsLeft: inThisSession > 0 ? (elapsed / inThisSession) * (total - done) : null,
      ...(finished ? { finished } : {}),
    })
  }
}

/** Says regularly that a trial is worked on, and notices when somebody else has taken it over. */
class Beating {
  readonly signal: AbortSignal
  readonly #lost = new AbortController()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(study: Study, trial: Trial, patience: number, signal: AbortSignal | undefined) {
    this.signal = signal ? AbortSignal.any([signal, this.#lost.signal]) : this.#lost.signal
    if (patience === Infinity) return
    this.#timer = setInterval(() => {
      study.beat(trial).then(
        (isOurs) => isOurs || this.#lost.abort(),
        // A database that cannot be reached is noticed by whoever tells the outcome.
        () => {},
      )
    }, patience / beatsPerPatience)
  }

  get isLost(): boolean {
    return this.#lost.signal.aborted
  }

  end(): void {
    clearInterval(this.#timer)
  }
}

/** Tells a trial what came of its run. */
async function tell(study: Study, trial: Trial, run: RunRecord, compileMilliseconds: number | null): Promise<void> {
  for (const [index, step] of run.curve.gradients.entries()) await trial.report(step, run.curve.validation[index]!)
  // JSON has no number that is not finite.
  await trial.annotate(runAttribute, JSON.parse(JSON.stringify({ ...run, compileMilliseconds })))
  const value = outcomeValue(run, study.record.objectives[0]!.direction)
  if (value === null) await study.fail(trial, run.message ?? '')
  else await study.tell(trial, value)
}

/** The plan of a contender's study. */
function planOf(
  { protocol, task }: Pick<RaceResults, 'protocol' | 'task'>,
  { name, search, limits }: Pick<Entry, 'name' | 'search' | 'limits'>,
  study: number,
): StudyPlan {
  const { seed, trials, finalists, finalSeeds, seeds, horizons } = protocol
  const drawn = seedsOfStudy(seed, study, finalSeeds, seeds)
  return {
    space: search,
    limits,
    sequence: shiftedSobol(Object.keys(search), seed, `study ${study} of ${name}`),
    trials,
    finalists,
    finalSeeds: drawn.finals,
    tuningSeed: drawn.tuning,
    reportSeeds: drawn.reports,
    horizons,
    direction: task.direction,
  }
}

function studyRuns(results: RaceResults, contender: string, study: number): StudyRun[] {
  return results.runs
    .filter((run) => run.contender === contender && run.study === study)
    .map((run) => ({ ...run, arrivals: arrivalsOf(run) }))
}

function firstSelected(results: RaceResults, entry: Entry): Setting | null {
  for (let study = 0; study < results.protocol.studies; study++) {
    const runs = studyRuns(results, entry.name, study)
    const trial = runs.length === 0 ? null : selectTrial(planOf(results, entry, study), runs)
    const run = runs.find((candidate) => candidate.trial === trial && candidate.phase === 'tuning')
    if (run) return run.setting
  }
  return null
}

/** Optimizer steps of a run: as many as its share of the budget pays for. */
function runSteps({ contenders, task }: RaceResults, name: string, horizon: number): number {
  const cost = contenders.find((record) => record.name === name)!.gradientsPerStep
  return stepsOf(horizon * task.steps, cost)
}

/** The task with the steps and targets of the options. */
function adjusted(task: Task, { steps, targets }: RaceOptions): Task {
  const budget = { ...task.budget }
  if (steps !== undefined) {
    budget.steps = whole('steps', steps, 1)
    budget.evaluateEvery = Math.min(budget.evaluateEvery, steps)
  }
  const changed: Task = {
    name: task.name,
    title: task.title,
    description: task.description,
    parameters: task.parameters,
    ...layoutOf(task),
    ...(task.statistics ? { statistics: task.statistics } : {}),
    metricName: task.metricName,
    direction: task.direction,
    targets: targets ?? task.targets,
    budget,
    // Called on the task itself, which may be an instance of a class.
    initialize: (parameters, seed) => task.initialize(parameters, seed),
    gradient: (parameters, gradients, batch, statistics) => task.gradient(parameters, gradients, batch, statistics),
    ...(task.loss ? { loss: (parameters, batch) => task.loss!(parameters, batch) } : {}),
    metric: (parameters, split) => task.metric(parameters, split),
  }
  return defineTask(changed)
}

function emptyResults({
  task,
  backend,
  options,
  protocol,
  entries,
  costs,
  leftOut,
}: {
  task: Task
  backend: Backend
  options: RaceOptions
  protocol: ProtocolRecord
  entries: readonly Entry[]
  costs: ReadonlyMap<string, number>
  leftOut: RaceResults['leftOut']
}): RaceResults {
  return {
    format: 'fallline race results',
    version: resultsVersion,
    complete: false,
    fingerprint: '',
    contenderFingerprints: {},
    backend: backend.name,
    versions: packageVersions(),
    startedAt: new Date().toISOString(),
    finishedAt: null,
    machine: machineRecord(),
    task: {
      ...taskRecord(task),
      targets: [...task.targets],
      targetsFrom: options.targets ? 'options' : 'task',
      steps: task.budget.steps,
      evaluateEvery: task.budget.evaluateEvery,
    },
    protocol,
    contenders: entries.map((entry) => {
      const gradientsPerStep = costs.get(entry.name)!
      return { ...recordOf(entry, stepsOf(task.budget.steps, gradientsPerStep)), gradientsPerStep }
    }),
    leftOut,
    runs: [],
    costs: null,
    costFailure: null,
    looks: [],
    analysis: null,
  }
}

function whole(name: keyof typeof most, value: number, least: number): number {
  return wholeNumber(name, value, least, most[name])
}
