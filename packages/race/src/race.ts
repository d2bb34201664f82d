import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { type Backend, type CompiledOptimizer, compile, wasm } from 'fallline'
import { analyse, selectTrial } from './analysis.ts'
import { type Contender, type Entry, enter, recordOf } from './training/contenders.ts'
import { costBlocks, measureCosts } from './training/cost.ts'
import { random, studySeeds } from './search/random.ts'
import { type TuningSequence, tuningSequence } from './search/sequence.ts'
import { type Setting, settingAt } from './search/space.ts'
import { train } from './training/training.ts'
import { type MachineRecord, type RaceResults, type RunRecord, resultsVersion } from './results.ts'
import { fingerprintOf, Store } from './store.ts'
import { defineTask, loadTask, type Task } from './task.ts'

/** How a race is run. */
export interface RaceOptions {
  /** A task, which is left for the caller to dispose, or the name of a built-in one, or the path of a task module. */
  task: Task | string
  /** Names of registered optimizers, or contenders of your own. */
  optimizers: readonly (string | Contender)[]
  /** Tuning trials per contender. Default 8. */
  trials?: number
  /** Report seeds: fresh runs of the selected setting. Default 8; at least 3 are needed to claim a difference. */
  seeds?: number
  /** Tuning seeds: runs per trial. Default 1. */
  tuningSeeds?: number
  /** Seed of the study: decides the tuning points, all training seeds and the resampling. Default 1. */
  seed?: number
  /** Steps of every run. Default: the budget of the task. */
  steps?: number
  /** Targets, easiest first. Default: those the task declares. */
  targets?: readonly number[]
  /** Where the optimizers run. Default `wasm()`, one thread. */
  backend?: Backend
  /** Directory for `results.json` and `report.html`. Default: nothing is written. */
  out?: string
  /** Start over although the directory has results of the same settings. Default false. */
  fresh?: boolean
  /** Stops the race after the current step; the promise rejects with RaceInterrupted. */
  signal?: AbortSignal
  /** Is told what runs; called often. */
  onProgress?: (progress: RaceProgress) => void
}

/** Where a race is. */
export interface RaceProgress {
  phase: 'tuning' | 'report' | 'cost'
  contender: string
  title: string
  /** Number of the current run or block in this phase, from 1, and how many there are. */
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

  constructor(results: RaceResults) {
    super(`the race was interrupted after ${results.runs.length} runs`)
    this.results = results
  }
}

/** A task could not be found or loaded, or is none. */
export class TaskLoadError extends Error {
  override readonly name = 'TaskLoadError'
}

/** Defaults of `race`. */
export const raceDefaults = { trials: 8, seeds: 8, tuningSeeds: 1, seed: 1 } as const

/** Largest numbers of runs that are taken for intended. */
const most = { trials: 10_000, seeds: 10_000, tuningSeeds: 1000, seed: 0xffff_ffff, steps: 1_000_000_000 } as const

/**
 * Races optimizers on a task by one protocol for all: equally many tuning trials per contender from one shared quasi-random sequence
 * over its declared ranges, the best trial chosen by the validation metric, the chosen setting run anew on fresh seeds, several
 * targets, the clocks of steps and of time, and intervals for every comparison. A run that diverges or fails counts as missing its
 * targets and stops nobody else.
 *
 * ```ts
 * import { race } from '@fallline/race'
 *
 * const results = await race({ task: 'digits-mlp', optimizers: ['adamW', 'lion'], trials: 4, seeds: 3 })
 * console.log(results.analysis?.steps.verdict)
 * ```
 *
 * @throws Error for unknown optimizers, RangeError for other options that make no sense
 * @throws TaskLoadError when the task is unknown or its module cannot be loaded
 * @throws StorageError when the output directory cannot be used
 * @throws RaceInterrupted when `signal` is aborted; the same call resumes the race from `out`
 */
export async function race(options: RaceOptions): Promise<RaceResults> {
  const trials = whole('trials', options.trials ?? raceDefaults.trials, 1)
  const seeds = whole('seeds', options.seeds ?? raceDefaults.seeds, 1)
  const tuningSeeds = whole('tuningSeeds', options.tuningSeeds ?? raceDefaults.tuningSeeds, 1)
  const seed = whole('seed', options.seed ?? raceDefaults.seed, 0)
  const entries = enter(options.optimizers)
  const declared = typeof options.task === 'string' ? await load(options.task) : defineTask(options.task)
  const task = adjusted(declared, options)
  const sequence = tuningSequence(
    seed,
    entries.flatMap(({ search }) => Object.keys(search)),
  )
  const backend = options.backend ?? wasm()
  const trainingSeeds = studySeeds(seed, tuningSeeds, seeds)

  const parameters = Object.fromEntries(Object.entries(task.parameters).map(([name, shape]) => [name, [...shape]]))
  const size = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1)
  const results: RaceResults = {
    format: 'fallline race results',
    version: resultsVersion,
    complete: false,
    fingerprint: '',
    backend: backend.name,
    versions: { fallline: packageVersion('fallline/package.json'), race: packageVersion('../package.json') },
    startedAt: new Date().toISOString(),
    finishedAt: null,
    machine: machine(),
    task: {
      name: task.name,
      title: task.title,
      description: task.description,
      metricName: task.metricName,
      direction: task.direction,
      targets: [...task.targets],
      targetsFrom: options.targets ? 'options' : 'task',
      steps: task.budget.steps,
      evaluateEvery: task.budget.evaluateEvery,
      parameters,
      parameterCount: Object.values(parameters).reduce((sum, shape) => sum + size(shape), 0),
    },
    protocol: {
      seed,
      trials,
      tuningSeeds: [...trainingSeeds.tuning],
      reportSeeds: [...trainingSeeds.report],
      sequence: {
        kind: 'Sobol points with a Cranley-Patterson shift',
        dimensions: [...sequence.dimensions],
        shift: { ...sequence.shift },
      },
    },
    contenders: entries.map((entry) => recordOf(entry, task.budget.steps)),
    runs: [],
    costs: null,
    costFailure: null,
    analysis: null,
  }
  results.fingerprint = fingerprintOf({
    version: resultsVersion,
    versions: results.versions,
    backend: backend.name,
    task: results.task,
    code: sourceOf(options.task, task),
    protocol: results.protocol,
    contenders: entries.map(({ name, search, schedule, definition, create }) => {
      const { hyper, options: choices, decay, rule } = definition ?? {}
      return { name, search, schedule, hyper, choices, decay, rule: String(rule ?? create) }
    }),
  })

  const store = options.out === undefined ? null : new Store(options.out)
  if (store && options.fresh) store.moveAside()
  const earlier = store?.resume(results.fingerprint) ?? null
  const state = earlier ?? results
  const marshal = new Marshal({
    state,
    entries,
    task,
    backend,
    sequence,
    store,
    signal: options.signal,
    onProgress: options.onProgress,
  })
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
    if (typeof options.task === 'string') declared.dispose?.()
  }
}

interface MarshalOptions {
  state: RaceResults
  entries: readonly Entry[]
  task: Task
  backend: Backend
  sequence: TuningSequence
  store: Store | null
  signal: AbortSignal | undefined
  onProgress: ((progress: RaceProgress) => void) | undefined
}

interface Ready {
  optimizer: CompiledOptimizer
  /** The state before the first step, to which every run returns. */
  initial: Uint8Array
}

/** Runs what is missing of a race, in an order that depends on nothing but the settings. */
class Marshal {
  readonly #options: MarshalOptions
  readonly #selected = new Map<string, Ready>()
  readonly #start = performance.now()
  #stepsDone = 0
  #stepsDoneBefore = 0

  constructor(options: MarshalOptions) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { state, store, signal } = this.#options
    try {
      this.#stepsDoneBefore = this.#stepsDone = state.runs.length * state.task.steps
      await this.#tune()
      await this.#report()
      await this.#measure()
      state.analysis = analyse(state)
      state.finishedAt = new Date().toISOString()
      state.complete = true
      store?.write('results', JSON.stringify(state))
    } catch (error) {
      if (!signal?.aborted) throw error
      store?.write('results', JSON.stringify(state))
      throw new RaceInterrupted(state)
    }
  }

  dispose(): void {
    for (const { optimizer } of this.#selected.values()) optimizer.dispose()
  }

  async #tune(): Promise<void> {
    const { state, entries, sequence } = this.#options
    const { trials, tuningSeeds, seed } = state.protocol
    const order = random(seed, 'order of the tuning runs')
    const count = trials * tuningSeeds.length * entries.length
    let index = 0
    for (let trial = 0; trial < trials; trial++) {
      for (const entry of order.shuffle(entries)) {
        const setting = settingAt(entry.search, sequence, trial)
        let ready: Ready | Error | null = null
        for (const trainingSeed of tuningSeeds) {
          index++
          if (this.#has('tuning', entry.name, trial, trainingSeed)) continue
          ready ??= await this.#compile(entry, setting)
          await this.#train(ready, { phase: 'tuning', entry, trial, seed: trainingSeed, setting, index, count })
        }
        if (ready !== null && !(ready instanceof Error)) ready.optimizer.dispose()
      }
    }
  }

  async #report(): Promise<void> {
    const { state, entries, task } = this.#options
    const { reportSeeds, seed } = state.protocol
    const order = random(seed, 'order of the report runs')
    const count = reportSeeds.length * entries.length
    let index = 0
    for (const trainingSeed of reportSeeds) {
      for (const entry of order.shuffle(entries)) {
        index++
        const selection = selectTrial(state.runs, entry.name, task.direction)
        // A contender without a finished trial has no setting to run; it counts as missing every target.
        if (selection === null || this.#has('report', entry.name, selection.trial, trainingSeed)) continue
        const { trial, setting } = selection
        const ready = await this.#readySelected(entry, setting)
        await this.#train(ready, { phase: 'report', entry, trial, seed: trainingSeed, setting, index, count })
      }
    }
  }

  async #measure(): Promise<void> {
    const { state, entries, task, signal } = this.#options
    if (state.costs !== null) return
    const optimizers = new Map<string, CompiledOptimizer>()
    for (const entry of entries) {
      const selection = selectTrial(state.runs, entry.name, task.direction)
      const ready = selection === null ? null : await this.#readySelected(entry, selection.setting)
      if (ready === null || ready instanceof Error) continue
      ready.optimizer.load(ready.initial)
      optimizers.set(entry.name, ready.optimizer)
    }
    if (optimizers.size === 0) return
    const progress = (index: number, count: number) =>
      this.#progressOf(entries[0]!, {}, { phase: 'cost', index, count }, 0)
    progress(0, optimizers.size * costBlocks)
    try {
      const { tuningSeeds, seed } = state.protocol
      state.costs = await measureCosts({
        task,
        optimizers,
        trainingSeed: tuningSeeds[0]!,
        seed,
        signal,
        onBlock: progress,
      })
      state.costFailure = null
    } catch (error) {
      signal?.throwIfAborted()
      // The comparison by steps stands without step costs.
      state.costFailure = error instanceof Error ? error.message : String(error)
    }
  }

  #has(phase: RunRecord['phase'], contender: string, trial: number, seed: number): boolean {
    return this.#options.state.runs.some(
      (run) => run.phase === phase && run.contender === contender && run.trial === trial && run.seed === seed,
    )
  }

  async #readySelected(entry: Entry, setting: Setting): Promise<Ready | Error> {
    const known = this.#selected.get(entry.name)
    if (known) return known
    const ready = await this.#compile(entry, setting)
    if (!(ready instanceof Error)) this.#selected.set(entry.name, ready)
    return ready
  }

  /** Compiles a contender with a setting; an error is a result, because the other contenders go on. */
  async #compile(entry: Entry, setting: Setting): Promise<Ready | Error> {
    const { state, task, backend } = this.#options
    const start = performance.now()
    try {
      // The check for non-finite gradients belongs to what a step costs by default.
      const optimizer = await compile(entry.create(setting, task.budget.steps), task.parameters, {
        nonFinite: 'skip',
        backend,
      })
      const record = state.contenders.find(({ name }) => name === entry.name)!
      record.compileMilliseconds.push(performance.now() - start)
      return { optimizer, initial: optimizer.save() }
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  async #train(
    ready: Ready | Error,
    run: {
      phase: 'tuning' | 'report'
      entry: Entry
      trial: number
      seed: number
      setting: Setting
      index: number
      count: number
    },
  ): Promise<void> {
    const { state, task, store, signal } = this.#options
    const { phase, entry, trial, seed, setting } = run
    const { steps, evaluateEvery } = task.budget
    const start = performance.now()
    const before = this.#stepsDone
    this.#progressOf(entry, setting, run, 0)
    const about = { phase, contender: entry.name, trial, seed, setting }
    let record: RunRecord
    if (ready instanceof Error) {
      record = { ...about, outcome: 'failed', message: ready.message, ...nothingReached(task), milliseconds: 0 }
      signal?.throwIfAborted()
    } else {
      ready.optimizer.load(ready.initial)
      const result = await train({
        task,
        optimizer: ready.optimizer,
        seed,
        steps,
        evaluateEvery,
        targets: task.targets,
        test: phase === 'report',
        signal,
        onStep: (step) => {
          this.#stepsDone = before + step
          this.#progressOf(entry, setting, run, step)
        },
      })
      record = { ...about, ...result, milliseconds: performance.now() - start }
    }
    this.#stepsDone = before + steps
    state.runs.push(record)
    store?.write('results', JSON.stringify(state))
    this.#progressOf(entry, setting, run, steps, record)
  }

  #progressOf(
    entry: Entry,
    setting: Setting,
    { phase, index, count }: Pick<RaceProgress, 'phase' | 'index' | 'count'>,
    step: number,
    finished?: RunRecord,
  ): void {
    const { state, entries, onProgress } = this.#options
    if (onProgress === undefined) return
    const { protocol, task } = state
    const runs = entries.length * (protocol.trials * protocol.tuningSeeds.length + protocol.reportSeeds.length)
    // The micro-race is short; it is counted as one more run.
    const blocks = phase === 'cost' ? index / count : 0
    const total = (runs + 1) * task.steps
    const doneSteps = phase === 'cost' ? total - (1 - blocks) * task.steps : this.#stepsDone
    const inThisSession = doneSteps - this.#stepsDoneBefore
    const elapsed = performance.now() - this.#start
    const left = inThisSession > 0 ? (elapsed / inThisSession) * (total - doneSteps) : null
    onProgress({
      phase,
      contender: entry.name,
      title: entry.title,
      index,
      count,
      setting,
      step,
      steps: task.steps,
      done: doneSteps / total,
      millisecondsLeft: left,
      ...(finished ? { finished } : {}),
    })
  }
}

async function load(task: string): Promise<Task> {
  try {
    return await loadTask(task)
  } catch (error) {
    throw new TaskLoadError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function nothingReached(task: Task): Pick<RunRecord, 'stepsTaken' | 'curve' | 'validation' | 'test' | 'stepsToTarget'> {
  const curve = { step: [], loss: [], validation: [] }
  return { stepsTaken: 0, curve, validation: null, test: null, stepsToTarget: task.targets.map(() => null) }
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
    metricName: task.metricName,
    direction: task.direction,
    targets: targets ?? task.targets,
    budget,
    // Called on the task itself, which may be an instance of a class.
    initialize: (parameters, seed) => task.initialize(parameters, seed),
    gradient: (parameters, gradients, batch) => task.gradient(parameters, gradients, batch),
    metric: (parameters, split) => task.metric(parameters, split),
  }
  return defineTask(changed)
}

function whole(name: keyof typeof most, value: number, least: number): number {
  if (!Number.isInteger(value) || value < least || value > most[name]) {
    throw new RangeError(`${name} is ${value}; it must be a whole number from ${least} to ${most[name]}`)
  }
  return value
}

/** What tells one version of a task's code from another: its module, and the text of its functions. */
function sourceOf(given: Task | string, task: Task): string[] {
  if (typeof given !== 'string') return [String(given.initialize), String(given.gradient), String(given.metric)]
  try {
    return [readFileSync(given, 'utf8')]
  } catch {
    return [task.name]
  }
}

const require = createRequire(import.meta.url)

function packageVersion(manifest: 'fallline/package.json' | '../package.json'): string {
  return (require(manifest) as { version: string }).version
}

function machine(): MachineRecord {
  return {
    node: process.version,
    platform: process.platform,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    loadAverage: loadavg()[0] ?? 0,
  }
}
