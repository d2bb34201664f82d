import type { Json } from '../json.ts'
import type { Pruner } from '../pruners/pruner.ts'
import { random } from '../random.ts'
import { randomSearch } from '../samplers/random.ts'
import type { Proposal, Sampler } from '../samplers/sampler.ts'
import { tpe } from '../samplers/tpe.ts'
import type { Point } from '../space/dimension.ts'
import type { Parameters, Space } from '../space/space.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Ending, Held, Holder, Storage, StudyRecord } from '../storage/storage.ts'
import { type Best, bestOf, frontOf } from './best.ts'
import { type Confirmation, type ConfirmOptions, confirmed } from './confirm.ts'
import { Model } from './model.ts'
import { type Budget, type Objective as Evaluate, optimize, type Standing } from './optimize.ts'
import { checkedOutcome, type Outcome } from './outcome.ts'
import { type AskOptions, NothingToTry, type Trial } from './run.ts'
import { stopAttribute } from './stop.ts'
import { isEnd, type Lease, type Report, type TrialRecord } from './trial.ts'
import type { Objective, Resource, View } from './view.ts'

/** What a study is made of. */
export interface StudyOptions<Values> {
  readonly space: Space<Values>
  /** Default: `study`. A storage has one study of a name; opening it again continues it. */
  readonly name?: string
  /** One direction, or several objectives by name, in the order of their values. Default: `minimize`. */
  readonly objectives?: 'minimize' | 'maximize' | Readonly<Record<string, 'minimize' | 'maximize'>>
  /** Default: `tpe()`. */
  readonly sampler?: Sampler
  /** Default: none, trials are never stopped. */
  readonly pruner?: Pruner
  /** What a longer trial uses more of; reports outside of it are errors. Default: none. */
  readonly resource?: Resource
  /** The same seed gives the same study. Default: 0. */
  readonly seed?: number
  /** Default: the memory of this process. */
  readonly storage?: Storage
  /** Shown to people as who works on a trial. Default: a random name. */
  readonly worker?: string
  /** Milliseconds without a sign of life after which others may take a trial over. Default: Infinity. */
  readonly patience?: number
  /** How often the workers of a trial may die before it is `stale`. Default: 3. */
  readonly attempts?: number
}

/** How often a point is drawn again that breaks a constraint on parameters, or that somebody works on already. */
const draws = 100

/**
 * Opens a study: makes it when its storage has none of that name, continues it otherwise.
 *
 * @throws RangeError when the storage has one of that name with another space, other objectives, another resource or seed, and for a
 * sampler that cannot weigh several objectives or needs a resource
 */
export async function openStudy<Values>(options: StudyOptions<Values>): Promise<Study<Values>> {
  const { name = 'study', seed, space, storage = memoryStorage(), sampler = tpe(), resource = null } = options
  const objectives = objectivesOf(options.objectives ?? 'minimize')
  if (objectives.length > 1 && !sampler.severalObjectives) {
    throw new RangeError(
      `${sampler.name} weighs one objective, not ${objectives.map((each) => each.name).join(' and ')}`,
    )
  }
  if (sampler.needsResource && resource === null) {
    throw new RangeError(`${sampler.name} needs to know what a longer trial uses more of: give the study a resource`)
  }
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw new RangeError(`seed must be a whole number, not ${seed}`)
  if (
    resource !== null &&
    !(resource.minimum > 0 && resource.minimum <= resource.maximum && resource.maximum < Infinity)
  ) {
    throw new RangeError(
      `the resource ${resource.name} goes from ${resource.minimum} to ${resource.maximum}: needs 0 < minimum <= maximum < Infinity`,
    )
  }
  const { dimensions, constraints } = space
  const wanted: StudyRecord = {
    name,
    seed: seed ?? 0,
    space: { dimensions, constraints },
    objectives,
    resource,
    sampler: sampler.name,
    attributes: {},
  }
  const kept = await storage.create(wanted)
  checkSame(kept, seed === undefined ? { ...wanted, seed: kept.seed } : wanted)
  return new Study(kept, { ...options, sampler, storage } as StudyParts<Values>)
}

type StudyParts<Values> = StudyOptions<Values> & Required<Pick<StudyOptions<Values>, 'sampler' | 'storage'>>

/** Trials of one space, and what chooses them. `openStudy` makes one. */
export class Study<Values = unknown> {
  /** As it is kept. */
  readonly record: StudyRecord
  readonly space: Space<Values>
  readonly storage: Storage
  readonly sampler: Sampler
  readonly #pruner: Pruner | undefined
  readonly #holder: Holder
  readonly #attempts: number
  readonly #model: Model
  readonly #leases = new WeakMap<Trial<Values>, Lease>()
  /** Everything that reads what is known waits for what was asked before, so that nothing changes under a sampler that takes its time. */
  #queue: Promise<unknown> = Promise.resolve()

  /** @internal */
  constructor(record: StudyRecord, options: StudyParts<Values>) {
    this.record = record
    this.space = options.space
    this.storage = options.storage
    this.sampler = options.sampler
    this.#pruner = options.pruner
    this.#attempts = options.attempts ?? 3
    this.#holder = { worker: options.worker ?? crypto.randomUUID().slice(0, 8), patience: options.patience ?? Infinity }
    this.#model = new Model(this.space, record.objectives, record.resource, record.seed)
  }

  get name(): string {
    return this.record.name
  }

  /** Milliseconds without a sign of life after which others may take over a trial that this asked for. */
  get patience(): number {
    return this.#holder.patience
  }

  /**
   * Takes up a trial: one that waits, or else what the sampler proposes.
   *
   * @param options.window proposals for a trial know only trials whose number is at least this much smaller, and wait until these have
   * ended: with a window of 8, eight workers get the same study whoever is faster
   * @param options.results how many trials are to have a result in all: none is taken up while those that run will bring as many, whoever
   * runs them
   * @throws NothingToTry when the sampler waits for trials to end, or has no more points, and when there are results enough
   * @throws RangeError when no point meets the constraints on parameters
   */
  ask(options: AskOptions = {}): Promise<Trial<Values>> {
    return this.#enqueued(async () => {
      for (;;) {
        await this.#refresh()
        if (this.#model.late) {
          await this.storage.expire(this.name, this.#attempts)
          await this.#refresh()
        }
        this.#checkRoom(options.results)
        const held = (await this.#claimed()) ?? (await this.#proposed(options))
        if (held) return this.#trialOf(held, options.signal, options.window)
      }
    })
  }

  /**
   * Tells the outcome of a trial.
   *
   * @param trial what `ask` gave, or its lease where it was asked for in another process
   * @throws TypeError for an outcome that is not made of numbers, RangeError for NaN or another number of values than objectives, Error
   * when the trial belongs to another study, has been told already or has been taken over by somebody else; nothing changes then
   */
  async tell(trial: Trial<Values> | Lease, outcome: Outcome): Promise<void> {
    await this.#end(trial, 'complete', outcome)
  }

  /** Ends a trial whose reports did not promise enough. Throws as `tell` does. */
  async prune(trial: Trial<Values> | Lease): Promise<void> {
    await this.#end(trial, 'pruned', null)
  }

  /** Ends a trial whose objective threw. Throws as `tell` does. */
  async fail(trial: Trial<Values> | Lease, reason: string): Promise<void> {
    await this.#end(trial, 'failed', null, reason)
  }

  /** Puts a trial aside that has gone as far as it was asked to, with its outcome so far. Throws as `tell` does. */
  async pause(trial: Trial<Values> | Lease, outcome: Outcome): Promise<void> {
    await this.#end(trial, 'paused', outcome)
  }

  /** Gives a trial up for good: its parameters are never proposed again. Throws as `tell` does. */
  async abandon(trial: Trial<Values> | Lease, reason: string): Promise<void> {
    await this.#end(trial, 'abandoned', null, reason)
  }

  /** Puts a trial back that could not be finished here, so that somebody else takes it up at once. */
  async giveBack(trial: Trial<Values> | Lease): Promise<void> {
    const lease = this.#leaseOf(trial)
    if (!(await this.storage.giveBack(this.name, lease))) throw await this.#refusal(lease)
  }

  /** Says that a trial is still worked on; `false` when somebody else has taken it over. */
  beat(trial: Trial<Values> | Lease): Promise<boolean> {
    return this.storage.beat(this.name, this.#leaseOf(trial))
  }

  /** What another process needs to tell the outcome of a trial. */
  leaseOf(trial: Trial<Values>): Lease {
    return this.#leaseOf(trial)
  }

  /**
   * Adds trials with given parameters, by their names with dots; they are taken up before anything is proposed.
   *
   * @returns their numbers
   * @throws RangeError as `Space.point` does, and for parameters that break a constraint; none is added then
   */
  async enqueue(...trials: readonly Parameters[]): Promise<readonly number[]> {
    const points = trials.map((parameters) => {
      const point = this.space.point(parameters)
      const violated = this.space.violated(point)
      if (violated !== null) throw new RangeError(`${JSON.stringify(parameters)} breaks a constraint: ${violated}`)
      return { point, parameters }
    })
    return this.storage.enqueue(this.name, points)
  }

  /** Tries the parameters of a trial once more, as a new trial; gives its number. */
  async retry(number: number): Promise<number> {
    const record = await this.trial(number)
    const [added] = await this.storage.enqueue(this.name, [record])
    await this.storage.annotate(this.name, added!, 'retryOf', number)
    return added!
  }

  /** All records by number. */
  trials(): Promise<readonly TrialRecord[]> {
    return this.#enqueued(async () => {
      await this.#refresh()
      return [...this.#model.records]
    })
  }

  /**
   * The record of a trial.
   *
   * @throws RangeError when there is none of that number
   */
  trial(number: number): Promise<TrialRecord> {
    return this.#enqueued(async () => {
      await this.#refresh()
      const { records } = this.#model
      const record = records[number]
      if (!record) throw new RangeError(`there is no trial ${number} in '${this.name}', which has ${records.length}`)
      return record
    })
  }

  /** What samplers see now. */
  view(): Promise<View> {
    return this.#enqueued(async () => {
      await this.#refresh()
      return this.#model.view()
    })
  }

  /**
   * The best complete trial that meets its constraints, with how many it is the best of; `null` while there is none. Being the best of
   * many it looks better than it is: `confirm` says how good it is.
   *
   * @throws RangeError for a study with several objectives
   */
  async best(): Promise<Best | null> {
    if (this.record.objectives.length > 1)
      throw new RangeError(`'${this.name}' has several objectives: ask for its front`)
    return bestOf(await this.trials(), this.record.objectives[0]!)
  }

  /** The complete trials that meet their constraints and that no other one is better than in every objective. */
  async front(): Promise<readonly TrialRecord[]> {
    return frontOf(await this.trials(), this.record.objectives)
  }

  /** Runs an objective until a budget is spent, or somebody stops the study. */
  optimize(objective: Evaluate<Values>, budget: Budget): Promise<Standing> {
    return optimize(this, objective, budget)
  }

  /**
   * Runs the best trials again on seeds that no trial had, and says how good they are: the value that made a trial the best of many was
   * partly luck. Kept as the attribute `confirmation` of each trial.
   */
  confirm(objective: Evaluate<Values>, options: ConfirmOptions = {}): Promise<readonly Confirmation[]> {
    return confirmed(this, objective, options)
  }

  /**
   * Adds the ended trials of another study: to merge studies, or to begin a new one with what an old one knows.
   *
   * @returns how many were added; trials whose parameters do not fit this space are left out
   * @throws RangeError when the other study has another number of objectives
   */
  async add(other: Study<unknown>): Promise<number> {
    const [mine, theirs] = [this.record.objectives, other.record.objectives]
    if (mine.length !== theirs.length) {
      throw new RangeError(`'${other.name}' has ${theirs.length} objectives and '${this.name}' ${mine.length}`)
    }
    const sign = mine.map((objective, index) => (objective.direction === theirs[index]!.direction ? 1 : -1))
    const records = (await other.trials()).flatMap((record): TrialRecord[] => {
      if (!isEnd(record.state)) return []
      const point = this.#fitting(record.parameters)
      if (point === null) return []
      const values = record.values?.map((value, index) => sign[index]! * value) ?? null
      const reports = record.reports.map(({ step, value }) => ({ step, value: sign[0]! * value }))
      return [
        {
          ...record,
          point,
          values,
          reports,
          note: null,
          seen: null,
          attributes: { ...record.attributes, from: other.name },
        },
      ]
    })
    return (await this.storage.add(this.name, records)).length
  }

  /** Copies this study with all ended trials to another storage, or under another name. */
  async copy({
    storage = this.storage,
    name = this.name,
  }: {
    storage?: Storage
    name?: string
  }): Promise<Study<Values>> {
    if (await storage.find(name)) throw new RangeError(`there is a study '${name}' already`)
    const record = await storage.create({ ...this.record, name })
    await storage.add(
      name,
      (await this.trials()).filter(({ state }) => isEnd(state)),
    )
    return new Study(record, {
      space: this.space,
      sampler: this.sampler,
      storage,
      ...(this.#pruner && { pruner: this.#pruner }),
    })
  }

  /**
   * Ends the trials that are paused, as `pruned` with a reason and the values that they had come to: samplers that go on with the best leave
   * the others paused, because a later run may go on with them. Trials that run or wait are left alone.
   *
   * @returns their numbers
   */
  async finish(reason = 'nobody went on with it before the study was finished'): Promise<readonly number[]> {
    const numbers: number[] = []
    for (const record of await this.trials()) {
      const { number: trial, state, point, parameters, until, note, seen, values, constraints, cost } = record
      if (state !== 'paused') continue
      const taken = { trial, continues: true, point, parameters, until, note, seen, sampler: null }
      const held = await this.storage.start(this.name, this.#holder, taken)
      const ending = { state: 'pruned', values, constraints, cost, error: reason } as const
      if (held !== null && (await this.storage.end(this.name, held.lease, ending))) numbers.push(trial)
    }
    return numbers
  }

  /** Notes something about the study. */
  annotate(attribute: string, value: Json): Promise<void> {
    return this.storage.annotate(this.name, null, attribute, value)
  }

  /**
   * Asks everybody who works on this study, in whatever process, to begin no trial any more: `optimize` ends within a second of its next
   * trial. It stays so until `resume`.
   *
   * @param reason shown to people
   */
  stop(reason: string): Promise<void> {
    return this.annotate(stopAttribute, reason)
  }

  /** Lets a study go on that `stop` has ended; who works on it has to be started again. */
  resume(): Promise<void> {
    return this.annotate(stopAttribute, null)
  }

  #fitting(parameters: Parameters): Point | null {
    try {
      return this.space.point(parameters)
    } catch {
      return null
    }
  }

  #enqueued<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => {})
    return result
  }

  async #refresh(): Promise<void> {
    this.#model.take(await this.storage.changes(this.name, this.#model.version))
  }

  #checkRoom(wanted: number | undefined): void {
    if (wanted === undefined) return
    const { results, open } = this.#model.view()
    if (results >= wanted) throw new NothingToTry(`${results} trials have a result`, true)
    const running = open.filter(({ state }) => state === 'running').length
    if (results + running >= wanted) {
      throw new NothingToTry(`${results} trials have a result and ${running} are under way, of ${wanted}`, false)
    }
  }

  /** A trial that waits, if there is one. */
  async #claimed(): Promise<Held | null> {
    const waits = this.#model.view().open.some(({ state }) => state === 'waiting')
    return waits ? this.storage.claim(this.name, this.#holder) : null
  }

  /** What the sampler proposes; `null` when somebody else has changed what it was made from. */
  async #proposed({ window }: AskOptions): Promise<Held | null> {
    const number = this.#model.count
    const view = window === undefined ? this.#model.view() : this.#settledView(number, window)
    const { version, state } = this.#model.sampler
    const { proposal, point } = await this.#drawn(view, number, state)
    if (proposal.kind === 'wait' || proposal.kind === 'end') {
      throw new NothingToTry(`${this.sampler.name}: ${proposal.reason}`, proposal.kind === 'end')
    }
    return this.storage.start(this.name, this.#holder, {
      trial: proposal.kind === 'continue' ? proposal.trial : number,
      continues: proposal.kind === 'continue',
      point,
      parameters: this.space.parameters(point),
      until: proposal.until ?? null,
      note: proposal.note ?? null,
      seen: view.ended.length,
      sampler: proposal.state === undefined ? null : { version, state: proposal.state },
    })
  }

  /** What the sampler proposes, drawn again while the study cannot take it. */
  async #drawn(view: View, number: number, state: Json): Promise<{ proposal: Proposal<Json>; point: Point }> {
    const taken = new Set(view.open.filter((trial) => trial.state !== 'paused').map((trial) => trial.point.join()))
    let violated: string | null = null
    let double: { proposal: Proposal<Json>; point: Point } | undefined
    for (let draw = 0; draw < 2 * draws; draw++) {
      const request = { number, random: random(view.seed, `trial ${number}, draw ${draw}`), state }
      // A sampler that insists is left out of it.
      const insists = draw >= draws
      const proposal = await (insists
        ? randomSearch().propose(view, { ...request, state: null })
        : this.sampler.propose(view, request))
      if (proposal.kind === 'wait' || proposal.kind === 'end') return { proposal, point: [] }
      if (proposal.kind === 'continue') return { proposal, point: view.trial(proposal.trial)!.point }
      const point = this.space.settle(proposal.point)
      violated = this.space.violated(point)
      if (violated !== null) continue
      if (!taken.has(point.join()) && !this.#model.abandoned.has(point.join())) return { proposal, point }
      double ??= { proposal, point }
    }
    if (double) return double
    throw new RangeError(`no point of ${2 * draws} meets the constraint '${violated}' of '${this.name}'`)
  }

  #settledView(number: number, window: number): View {
    const first = Math.max(0, number - window + 1)
    const unfinished = this.#model.records.slice(0, first).find(({ state }) => !isEnd(state))
    if (unfinished)
      throw new NothingToTry(`trial ${unfinished.number} has to end before trial ${number} is proposed`, false)
    return this.#model.viewBefore(first)
  }

  #trialOf({ record, lease }: Held, signal: AbortSignal | undefined, window: number | undefined): Trial<Values> {
    const { number, attempt, until } = record
    const { seed, resource } = this.record
    let last = record.reports.at(-1)?.step ?? -Infinity
    const trial: Trial<Values> = {
      number,
      parameters: this.space.values(record.point),
      seed: random(seed, `objective of trial ${number}`).integer(1, 999_999_999),
      until,
      from: Math.max(0, last),
      signal: signal ?? new AbortController().signal,
      record,
      report: async (step, value) => {
        if (typeof value !== 'number')
          throw new TypeError(`trial ${number}: a report needs a number, not ${String(value)}`)
        // An earlier attempt may have come further, and its steps are told again.
        const again = attempt > 1 && step <= last && !reported.has(step)
        if (!(step > last || again) || (resource && (step <= 0 || step > resource.maximum))) {
          const bound = resource ? ` and at most ${resource.maximum} (${resource.name})` : ''
          throw new RangeError(
            `trial ${number}: step ${step} must be above the last one, ${Math.max(0, last)},${bound}`,
          )
        }
        reported.add(step)
        last = Math.max(last, step)
        return this.#report(lease, { step, value }, window)
      },
      annotate: (attribute, value) => this.storage.annotate(this.name, number, attribute, value),
    }
    const reported = new Set<number>()
    this.#leases.set(trial, lease)
    return trial
  }

  async #report(lease: Lease, report: Report, window: number | undefined): Promise<'continue' | 'stop'> {
    if (!(await this.storage.report(this.name, lease, report))) throw await this.#refusal(lease)
    const pruner = this.#pruner
    if (!pruner) return 'continue'
    return this.#enqueued(async () => {
      await this.#refresh()
      const first = window === undefined ? null : Math.max(0, lease.trial - window + 1)
      const view = first === null ? this.#model.view() : this.#model.viewBefore(first)
      return pruner.decide(view, this.#model.seeReport(lease.trial, report))
    })
  }

  #leaseOf(trial: Trial<Values> | Lease): Lease {
    if ('token' in trial) return trial
    const lease = this.#leases.get(trial)
    if (!lease) throw new Error(`trial ${trial.number} was not asked of this study, '${this.name}'`)
    return lease
  }

  async #end(
    trial: Trial<Values> | Lease,
    state: Ending['state'],
    outcome: Outcome | null,
    error: string | null = null,
  ): Promise<void> {
    const lease = this.#leaseOf(trial)
    const told =
      outcome === null
        ? { values: null, constraints: {}, cost: null }
        : checkedOutcome(outcome, this.record.objectives, lease.trial)
    const ending = { state, error, ...told }
    if (!(await this.storage.end(this.name, lease, ending))) throw await this.#refusal(lease)
  }

  async #refusal({ trial, attempt }: Lease): Promise<Error> {
    const record = await this.trial(trial)
    if (isEnd(record.state)) {
      const values = record.values ? ` with ${record.values.join(', ')}` : ''
      return new Error(`trial ${trial} of '${this.name}' has ended already: ${record.state}${values}`)
    }
    if (record.attempt !== attempt) {
      return new Error(
        `trial ${trial} of '${this.name}' has been taken over: this is attempt ${attempt} and it is in ${record.attempt}`,
      )
    }
    return new Error(`trial ${trial} of '${this.name}' is ${record.state}: nobody holds it as this lease says`)
  }
}

function objectivesOf(given: NonNullable<StudyOptions<unknown>['objectives']>): readonly Objective[] {
  const named = typeof given === 'string' ? { value: given } : given
  const objectives = Object.entries(named).map(([name, direction]) => ({ name, direction }))
  if (objectives.length === 0) throw new RangeError('a study needs at least one objective')
  for (const { name, direction } of objectives) {
    if (direction !== 'minimize' && direction !== 'maximize') {
      throw new RangeError(`${name}: a direction is 'minimize' or 'maximize', not '${String(direction)}'`)
    }
  }
  return objectives
}

function checkSame(kept: StudyRecord, wanted: StudyRecord): void {
  for (const part of ['seed', 'space', 'objectives', 'resource'] as const) {
    const [before, now] = [JSON.stringify(kept[part]), JSON.stringify(wanted[part])]
    if (before === now) continue
    throw new RangeError(`the study '${kept.name}' is there with another ${part}: ${difference(before, now)}`)
  }
}

/** Where two texts begin to differ, with some of what is around. */
function difference(before: string, now: string): string {
  let at = 0
  while (before[at] === now[at]) at++
  const around = (text: string) => text.slice(Math.max(0, at - 30), at + 30)
  return `...${around(before)}... there and ...${around(now)}... here; give this one another name`
}
