import type { Policy, Snapshot } from '../search/policy.ts'
import { studySeeds } from '../search/study-seeds.ts'
import type { Task } from '../task.ts'
import type { Contender, ContenderLike, Entry } from '../training/contenders.ts'
import { beginning, type TrainingState } from '../training/training.ts'
import { Pool } from './pool.ts'
import {
  type ChooseResults,
  candidateRun,
  type FreshRecord,
  type FreshRun,
  gradientsSpent,
  type StudyRun,
  standingOf,
} from './results.ts'
import type { StudyStore } from './store.ts'

/** Training seeds that a policy may use. They are drawn before those of the comparison and never meet them. */
export const mostStudySeeds = 64

/** Milliseconds between two writes of the results while runs end quickly. */
const writeEvery = 500

/** A candidate in the standing. */
export interface StandingLine {
  contender: string
  title: string
  setting: Readonly<Record<string, number>>
  /** Its metric where it stands, and the gradients computed there. */
  metric: number
  gradients: number
}

/** Where a study is. */
export interface ChooseProgress {
  phase: 'checking' | 'choosing' | 'comparing'
  /** What runs, such as `rung 2 of 4`. */
  stage: string
  /** Runs of this stage that have ended, and how many there are. */
  index: number
  count: number
  /** The leading three. */
  standing: StandingLine[]
  /** Share of the budget that is spent, from 0 to 1. */
  done: number
  /** Milliseconds until the end at the present speed, `null` as long as nothing can be said. */
  millisecondsLeft: number | null
  /** The stage has just ended. */
  stageEnded: boolean
  /** The run on a fresh seed that has just ended. */
  fresh?: FreshRun & { title: string }
}

/** What a study needs besides its results. */
export interface StudyOptions {
  results: ChooseResults
  task: Task
  taskName: string | null
  /** Contenders that the module of the task exports. */
  own: readonly Contender[]
  entries: readonly { entry: Entry; given: ContenderLike }[]
  policy: Policy<unknown>
  store: StudyStore
  workers: number
  signal: AbortSignal | undefined
  onProgress: ((progress: ChooseProgress) => void) | undefined
}

/** Runs what is missing of a study: what is done next depends on nothing but what was measured, whoever was faster. */
export class Study {
  readonly #options: StudyOptions
  readonly #pool: Pool
  readonly #seeds: { readonly study: readonly number[]; readonly fresh: readonly number[] }
  readonly #start = performance.now()
  readonly #spentBefore: number
  readonly #millisecondsBefore: number
  /** Gradients of the jobs that run, as far as they have got. */
  readonly #running = new Map<object, number>()
  #lastWrite = 0

  constructor(options: StudyOptions) {
    this.#options = options
    const { results, task, taskName, own, workers, signal } = options
    this.#pool = new Pool({ task, taskName, own, workers, signal })
    const { seed, confirmationSeeds } = results.protocol
    const earlier = results.earlier.length * confirmationSeeds
    const { tuning, report } = studySeeds(seed, mostStudySeeds, earlier + confirmationSeeds)
    this.#seeds = { study: tuning, fresh: report.slice(earlier) }
    this.#spentBefore = this.#spent()
    this.#millisecondsBefore = results.milliseconds
  }

  get task(): Task {
    return this.#options.task
  }

  get pool(): Pool {
    return this.#pool
  }

  /** Milliseconds that the study has taken, sessions before included. */
  get milliseconds(): number {
    return this.#millisecondsBefore + performance.now() - this.#start
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }

  /** Keeps what there is. */
  write(): void {
    const { results, store } = this.#options
    results.milliseconds = this.milliseconds
    store.write(results)
    this.#lastWrite = performance.now()
  }

  /** What the policy is told. */
  snapshot(): Snapshot {
    const { results } = this.#options
    const { protocol, candidates, runs, task } = results
    return {
      candidates,
      runs: runs.map((run) => candidateRun(run, task.direction)),
      horizon: protocol.horizon,
      budget: protocol.split.choosing * protocol.horizon,
      evaluateEvery: protocol.evaluateEvery,
      baseline: { group: protocol.baseline.name, guaranteed: protocol.baseline.guaranteed },
    }
  }

  /** Asks the policy what to run, and runs it, until the policy has ended. */
  async choose(): Promise<void> {
    const { results, policy } = this.#options
    results.policyState ??= policy.start(this.snapshot(), results.protocol.seed)
    // A decision that was interrupted is finished before the next is asked for.
    const last = results.decisions.at(-1)
    if (last) await this.#carryOut(last)
    while (results.pick === null) {
      const { state, jobs, standing, pick, pickOfBaseline } = policy.next(results.policyState, this.snapshot())
      results.policyState = state
      const spent = gradientsSpent(results).choosing
      const decision = {
        stage: standing.stage,
        alive: [...standing.alive],
        jobs: jobs.map((job) => ({ ...job })),
        spent,
      }
      results.decisions.push(decision)
      results.pick = pick
      results.pickOfBaseline = pickOfBaseline
      if (jobs.length === 0) break
      for (const { candidate, seed } of jobs) this.#runOf(candidate, seed)
      await this.#carryOut(decision)
    }
    results.protocol.studySeeds = this.#usedSeeds()
    this.write()
  }

  #usedSeeds(): number[] {
    const numbers = [...new Set(this.#options.results.runs.map(({ seed }) => seed))].sort((a, b) => a - b)
    return numbers.map((number) => this.#seeds.study[number]!)
  }

  /** The run of a candidate on a seed; begun runs are kept in the order in which they were asked for. */
  #runOf(candidate: number, seed: number): StudyRun {
    const { runs } = this.#options.results
    const known = runs.find((run) => run.candidate === candidate && run.seed === seed)
    if (known) return known
    if (seed >= mostStudySeeds) throw new RangeError(`the policy asks for seed ${seed}; there are ${mostStudySeeds}`)
    const run: StudyRun = { candidate, seed, state: beginning(), checkpoint: null, milliseconds: 0, spent: 0 }
    runs.push(run)
    return run
  }

  async #carryOut(decision: ChooseResults['decisions'][number]): Promise<void> {
    const { jobs, stage } = decision
    const todo = jobs
      .map(({ candidate, seed, until }) => ({ run: this.#runOf(candidate, seed), until }))
      .filter(({ run, until }) => run.state.outcome === null && run.state.gradients < until - 1e-6)
    let index = jobs.length - todo.length
    const tell = (stageEnded: boolean) =>
      this.#tell({ phase: 'choosing', stage, index, count: jobs.length, stageEnded }, decision.alive)
    tell(false)
    await this.#all(
      todo.map(async ({ run, until }) => {
        await this.#advance(run, until, () => tell(false))
        index++
        if (performance.now() - this.#lastWrite > writeEvery) this.write()
        tell(false)
      }),
    )
    this.write()
    if (todo.length > 0) tell(true)
  }

  /** Waits for all, so that nothing goes on behind the back of an error. */
  async #all(promises: readonly Promise<void>[]): Promise<void> {
    const settled = await Promise.allSettled(promises)
    this.#options.signal?.throwIfAborted()
    for (const result of settled) if (result.status === 'rejected') throw result.reason
  }

  async #advance(run: StudyRun, until: number, tell: () => void): Promise<void> {
    const { results, entries, store } = this.#options
    const { setting, group } = results.candidates[run.candidate]!
    const contender = entries.find(({ entry }) => entry.name === group)!
    const { steps, gradientsPerStep } = results.contenders.find(({ name }) => name === group)!
    const { evaluateEvery, nonFinite } = results.protocol
    const saved = run.checkpoint === null ? null : store.load(run.checkpoint)
    const from = run.state.step > 0 && saved !== null ? { state: run.state, checkpoint: saved } : null
    const before = from === null ? 0 : run.state.gradients
    const seed = this.#seeds.study[run.seed]!
    const job = { kind: 'train', setting, steps, seed, evaluateEvery, nonFinite, from, until, test: false } as const
    const { state, checkpoint, milliseconds } = await this.#watched(job, contender, gradientsPerStep, tell)
    const old = run.checkpoint
    run.checkpoint = checkpoint === null ? null : `${run.candidate}-${run.seed}-${state.step}.safetensors`
    if (checkpoint !== null) store.save(run.checkpoint!, checkpoint)
    if (old !== null && old !== run.checkpoint) store.discard(old)
    run.state = state
    run.spent += state.gradients - before
    run.milliseconds += milliseconds
  }

  async #watched(
    job: Parameters<Pool['run']>[1] & { kind: 'train' },
    contender: { entry: Entry; given: ContenderLike },
    gradientsPerStep: number,
    tell: () => void,
  ) {
    const key = {}
    try {
      return await this.#pool.run(contender, job, (steps) => {
        this.#running.set(key, steps * gradientsPerStep)
        tell()
      })
    } finally {
      this.#running.delete(key)
    }
  }

  /** Runs pick and best of the baseline on the same fresh seeds. */
  async compare(pick: number, baseline: number): Promise<FreshRecord> {
    const { results, entries } = this.#options
    const { evaluateEvery, nonFinite } = results.protocol
    results.fresh ??= { pick, baseline, runs: [] }
    const { fresh } = results
    const both = [...new Set([pick, baseline])]
    const wanted = this.#seeds.fresh.flatMap((seed) => both.map((candidate) => ({ seed, candidate })))
    const place = ({ seed, candidate }: { seed: number; candidate: number }) =>
      wanted.findIndex((other) => other.seed === seed && other.candidate === candidate)
    const todo = wanted.filter((one) => !fresh.runs.some((run) => place(run) === place(one)))
    const about = () =>
      ({ phase: 'comparing', stage: 'fresh runs', index: fresh.runs.length, count: wanted.length }) as const
    const tell = (run?: FreshRun) =>
      this.#tell(
        { ...about(), stageEnded: false, ...(run ? { fresh: { ...run, title: this.#titleOf(run.candidate) } } : {}) },
        both,
      )
    tell()
    await this.#all(
      todo.map(async ({ seed, candidate }) => {
        const { setting, group } = results.candidates[candidate]!
        const contender = entries.find(({ entry }) => entry.name === group)!
        const { steps, gradientsPerStep } = results.contenders.find(({ name }) => name === group)!
        const job = {
          kind: 'train',
          setting,
          steps,
          seed,
          evaluateEvery,
          nonFinite,
          from: null,
          until: Infinity,
          test: true,
        } as const
        const { state, test, milliseconds } = await this.#watched(job, contender, gradientsPerStep, () => tell())
        const run: FreshRun = { candidate, seed, state, validation: finalOf(state), test, milliseconds }
        fresh.runs.push(run)
        fresh.runs.sort((a, b) => place(a) - place(b))
        if (performance.now() - this.#lastWrite > writeEvery) this.write()
        tell(run)
      }),
    )
    results.protocol.freshSeeds = [...this.#seeds.fresh]
    this.write()
    return fresh
  }

  #titleOf(candidate: number): string {
    const { contenders, candidates } = this.#options.results
    const { group } = candidates[candidate]!
    return contenders.find(({ name }) => name === group)?.title ?? group
  }

  #spent(): number {
    const { choosing, confirmation } = gradientsSpent(this.#options.results)
    return choosing + confirmation
  }

  #tell(
    progress: Pick<ChooseProgress, 'phase' | 'stage' | 'index' | 'count' | 'stageEnded' | 'fresh'>,
    alive: readonly number[],
  ): void {
    const { results, onProgress } = this.#options
    if (onProgress === undefined) return
    const { protocol, fresh } = results
    const partial = [...this.#running.values()].reduce((sum, gradients) => sum + gradients, 0)
    const { choosing } = gradientsSpent(results)
    const inFresh = fresh ? fresh.runs.length : 0
    const perComparison = protocol.split.confirmation / (results.earlier.length + 1)
    const left =
      progress.phase === 'choosing'
        ? Math.max(0, protocol.split.choosing * protocol.horizon - choosing - partial) +
          perComparison * protocol.horizon
        : Math.max(0, (progress.count - inFresh) * protocol.horizon - partial)
    const now = this.#spent() - this.#spentBefore + partial
    const elapsed = performance.now() - this.#start
    const total = this.#spent() + partial + left
    onProgress({
      ...progress,
      standing: this.#standing(alive),
      done: total > 0 ? 1 - left / total : 0,
      millisecondsLeft: now > 0 && elapsed > 500 ? (elapsed / now) * left : null,
    })
  }

  /** The leading three among those still in: those that got furthest, the best metric first. */
  #standing(alive: readonly number[]): StandingLine[] {
    const { results } = this.#options
    const sign = results.task.direction === 'minimize' ? 1 : -1
    const lines = alive.flatMap((candidate) => {
      const found = standingOf(results, candidate)
      const { group, setting } = results.candidates[candidate]!
      return found ? [{ contender: group, title: this.#titleOf(candidate), setting, ...found }] : []
    })
    return lines.sort((a, b) => b.gradients - a.gradients || sign * (a.metric - b.metric)).slice(0, 3)
  }
}

function finalOf({ outcome, curve }: TrainingState): number | null {
  return outcome === 'finished' ? (curve.validation.at(-1) ?? null) : null
}
