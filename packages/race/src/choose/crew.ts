import { setTimeout as pause } from 'node:timers/promises'
import type { Parameters, Space, Storage, Study, Trial, TrialRecord } from '@fallline/search'
import {
  choice,
  float,
  integer,
  isEnd,
  memoryStorage,
  NothingToTry,
  openStudy,
  space,
  variant,
} from '@fallline/search/internal'
import type { Candidate } from '../search/policy.ts'
import { rangeParameter, type SearchSpace } from '../search/space.ts'
import { Beating, defaultPatience, nap, thisProcess } from '../studies/beating.ts'
import { beginning, fail, type TrainingState } from '../training/training.ts'
import { restoredState } from './results.ts'

/** A run of a candidate that is to be brought to some point: for choosing, or on a fresh seed for the comparison. */
export interface Assignment {
  readonly phase: 'choosing' | 'comparing'
  /** Index of the candidate. */
  readonly candidate: number
  /** The training seed itself. */
  readonly seed: number
  /** Gradients to stop at; those of a full run where it is to end. */
  readonly until: number
}

/** How far the run got. */
export interface Done {
  readonly state: TrainingState
  /** Test metric, for the comparison. */
  readonly test: number | null
  readonly milliseconds: number
  /** Gradients that were computed for it: more than it advanced by where who did it had no checkpoint of it. */
  readonly spent: number
}

/** Names of the attributes that keep how far a run got, and whether a choice has been made. */
const doneAttribute = 'done'
const endedAttribute = 'ended'

/** Where runs are kept, and how they are shared. */
export interface CrewOptions {
  readonly name: string
  readonly storage: Storage | undefined
  readonly patience: number | undefined
  readonly candidates: readonly Candidate[]
  /** Ranges of each contender. */
  readonly searches: ReadonlyMap<string, SearchSpace>
  /** Gradients of a full run. */
  readonly horizon: number
  readonly direction: 'minimize' | 'maximize'
  /** How many runs are taken up at the same time where others share the work. */
  readonly size: number
  readonly signal: AbortSignal | undefined
}

/**
 * Those who do the runs of a choice. What is to be run is a trial of a study: enqueued by who decides, taken up by whoever is free, here or
 * in another process.
 */
export class Crew {
  readonly study: Study
  readonly #options: CrewOptions

  private constructor(study: Study, options: CrewOptions) {
    this.study = study
    this.#options = options
  }

  static async open(options: CrewOptions): Promise<Crew> {
    const { name, storage = memoryStorage(), direction } = options
    const study = await openStudy<unknown>({
      space: spaceOf(options),
      name,
      objectives: direction,
      sampler: { name: 'enqueued', propose: () => ({ kind: 'wait', reason: 'what is to be run is enqueued' }) },
      storage,
      worker: thisProcess,
      patience: patienceOf(options),
    })
    return new Crew(study, options)
  }

  /**
   * Has runs done, some here and the others by whoever helps.
   *
   * @param perform does one here
   * @param apply is told of every one that has been done, in the order in which they end
   * @throws what `perform` throws, and the reason of the signal; what runs here is given back then
   */
  async all(
    assignments: readonly Assignment[],
    perform: (assignment: Assignment) => Promise<Done>,
    apply: (assignment: Assignment, done: Done) => void,
  ): Promise<void> {
    const { signal, storage, size } = this.#options
    const open = await this.#enqueued(assignments)
    const running = new Set<Promise<void>>()
    const errors: unknown[] = []
    const here = new Map<number, Done>()
    // In this process alone all may wait for a thread, each in its own queue.
    const most = storage === undefined ? Infinity : size
    const takeIn = async () => {
      for (const record of await this.study.trials()) {
        const assignment = open.get(record.number)
        if (assignment === undefined || !isEnd(record.state)) continue
        open.delete(record.number)
        apply(assignment, here.get(record.number) ?? doneIn(record))
      }
    }
    while (errors.length === 0 && !signal?.aborted) {
      await takeIn()
      if (open.size === 0) break
      if (running.size < most) {
        const trial = await this.#next()
        if (trial !== null) {
          const work: Promise<void> = this.#work(trial, async (assignment) => {
            const done = await perform(assignment)
            here.set(trial.number, done)
            return done
          })
            .then(
              () => {},
              (error) => void errors.push(error),
            )
            .finally(() => running.delete(work))
          running.add(work)
          continue
        }
      }
      const others = storage === undefined && running.size > 0 ? [] : [pause(nap)]
      await Promise.race([...running, ...others])
    }
    // Nothing goes on behind the back of an error, and nothing that was done is lost.
    await Promise.all(running)
    await takeIn()
    signal?.throwIfAborted()
    if (errors.length > 0) throw errors[0]
  }

  /** Does what is enqueued until the choice has been made; gives how many runs were done here. */
  async help(perform: (assignment: Assignment) => Promise<Done>): Promise<number> {
    const { signal, size } = this.#options
    const running = new Set<Promise<void>>()
    const errors: unknown[] = []
    let count = 0
    while (errors.length === 0 && !signal?.aborted) {
      const trial = running.size < size ? await this.#next() : null
      if (trial !== null) {
        const work: Promise<void> = this.#work(trial, perform)
          .then(
            (isDone) => void (isDone && count++),
            (error) => void errors.push(error),
          )
          .finally(() => running.delete(work))
        running.add(work)
        continue
      }
      if (running.size === 0 && (await this.#hasEnded())) return count
      await Promise.race([...running, pause(nap)])
    }
    await Promise.all(running)
    signal?.throwIfAborted()
    throw errors[0]
  }

  /** Says whether the choice has been made. */
  async setEnded(ended: boolean): Promise<void> {
    await this.study.annotate(endedAttribute, ended)
  }

  async #hasEnded(): Promise<boolean> {
    const record = await this.study.storage.find(this.study.name)
    return record === null || record.attributes[endedAttribute] === true
  }

  /** The numbers of the trials of runs, which are enqueued where they are not there yet. */
  async #enqueued(assignments: readonly Assignment[]): Promise<Map<number, Assignment>> {
    const there = new Map<string, number>()
    for (const { number, parameters } of await this.study.trials()) there.set(keyOf(assignmentOf(parameters)), number)
    const missing = assignments.filter((assignment) => !there.has(keyOf(assignment)))
    const numbers = await this.study.enqueue(...missing.map((assignment) => this.#parametersOf(assignment)))
    for (const [index, assignment] of missing.entries()) there.set(keyOf(assignment), numbers[index]!)
    return new Map(assignments.map((assignment) => [there.get(keyOf(assignment))!, assignment]))
  }

  #parametersOf({ candidate, ...assignment }: Assignment): Parameters {
    const { group, setting } = this.#options.candidates[candidate]!
    const hyperparameters = Object.entries(setting).map(([name, value]) => [`contender.${group}.${name}`, value])
    return { ...assignment, candidate, contender: group, ...Object.fromEntries(hyperparameters) }
  }

  async #next(): Promise<Trial | null> {
    try {
      return await this.study.ask()
    } catch (error) {
      if (error instanceof NothingToTry) return null
      throw error
    }
  }

  /** Does a run and tells its trial; `false` when somebody else has taken it over meanwhile. */
  async #work(trial: Trial, perform: (assignment: Assignment) => Promise<Done>): Promise<boolean> {
    const { signal, direction } = this.#options
    const lease = new Beating(this.study, trial, patienceOf(this.#options), signal)
    try {
      const done = await perform(assignmentOf(trial.record.parameters))
      if (lease.isLost) return false
      // JSON has no number that is not finite.
      await trial.annotate(doneAttribute, JSON.parse(JSON.stringify(done)))
      const { outcome, message = '', curve } = done.state
      const worst = direction === 'minimize' ? Infinity : -Infinity
      if (outcome === 'failed') await this.study.fail(trial, message)
      else await this.study.tell(trial, outcome === 'diverged' ? worst : (curve.validation.at(-1) ?? worst))
      return true
    } catch (error) {
      if (signal?.aborted && !lease.isLost) await this.study.giveBack(trial)
      else if (lease.isLost || !(await this.study.beat(trial))) return false
      throw error
    } finally {
      lease.end()
    }
  }
}

/** Silence counts only where somebody else could go on. */
function patienceOf({ storage, patience = defaultPatience }: CrewOptions): number {
  return storage === undefined ? Infinity : patience
}

function spaceOf({ candidates, searches, horizon }: CrewOptions): Space {
  const groups = [...new Set(candidates.map(({ group }) => group))]
  const variants = groups.map((group) => [
    group,
    Object.fromEntries(Object.entries(searches.get(group)!).map(([name, range]) => [name, rangeParameter(range)])),
  ])
  return space({
    phase: choice(['choosing', 'comparing']),
    candidate: integer(0, candidates.length - 1),
    seed: integer(1, 999_999_999),
    until: float(0, horizon),
    contender: variant(Object.fromEntries(variants)),
  })
}

function assignmentOf(parameters: Parameters): Assignment {
  const { phase, candidate, seed, until } = parameters as unknown as Assignment
  return { phase, candidate, seed, until }
}

const keyOf = ({ phase, candidate, seed, until }: Assignment) => `${phase} ${candidate} ${seed} ${until}`

/** How far the run of a trial got that somebody else did; one that nobody could do has failed. */
function doneIn({ attributes, error, state: end }: TrialRecord): Done {
  const kept = attributes[doneAttribute] as unknown as Done | undefined
  if (kept !== undefined) return { ...kept, state: restoredState(kept.state) }
  const state = beginning()
  fail(state, new Error(error ?? `the trial is ${end}`))
  return { state, test: null, milliseconds: 0, spent: 0 }
}
