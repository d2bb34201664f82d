import { type CompiledOptimizer, compile, wasm } from 'fallline'
import { contenderNamed } from '../command/names.ts'
import type { Setting } from '../search/space.ts'
import type { Task } from '../task.ts'
import { type Contender, type ContenderLike, type Entry, enter } from '../training/contenders.ts'
import { gradientsPerStep } from '../training/cost-of-a-step.ts'
import { MissingInputError } from '../training/evaluate.ts'
import { advance, beginning, type NonFinite, type TrainingState, testMetric } from '../training/training.ts'
import { codeFor } from './code.ts'

/** A contender as another thread can make it again. Plain data. */
export interface SentContender {
  /** A registered optimizer or wrappers around one, `cautious(adamW)`, or the name of a contender that the module of the task exports. */
  expression: string
  name: string
  schedule: 'cosine' | 'constant'
}

/**
 * What can be sent to another thread of a contender: what makes the same optimizer there, which is what its code says. `null` for
 * functions that cannot be made again; they stay in their thread.
 *
 * @param own names of the contenders that the module of the task exports
 */
export function sendable(
  { entry, given }: { entry: Entry; given: ContenderLike },
  own: readonly Contender[],
  setting: Setting,
  steps: number,
): SentContender | null {
  const { name, schedule, code } = entry
  if (own.some((contender) => contender === given)) return { expression: name, name, schedule }
  const expression = code.replace('(SETTING)', '')
  try {
    const again = { ...contenderNamed(expression), name, schedule }
    return codeFor(again, setting, steps, 'fallline') === codeFor(given, setting, steps, 'fallline')
      ? { expression, name, schedule }
      : null
  } catch {
    return null
  }
}

/** The contender of what was sent. */
export function received({ expression, name, schedule }: SentContender, own: readonly Contender[]): Entry {
  const contender = own.find((one) => one.name === expression) ?? { ...contenderNamed(expression), name, schedule }
  return enter([contender])[0]!
}

/** Train a run on from where it stands. */
export interface TrainingJob {
  kind: 'train'
  setting: Setting
  /** Optimizer steps of a full run. */
  steps: number
  seed: number
  /** Gradients between two evaluations. */
  evaluateEvery: number
  nonFinite: NonFinite
  /** Where the run stands, and what the optimizer saved there; `null` for a run that begins. */
  from: { state: TrainingState; checkpoint: Uint8Array } | null
  /** Gradients to stop at; `Infinity` for the end of the run. */
  until: number
  /** Whether the test metric is wanted at the end. */
  test: boolean
}

/** Find out what a step of a contender computes. */
export interface StepJob {
  kind: 'step'
  setting: Setting
  steps: number
}

/** Something for a thread to do; plain data. */
export type Job = TrainingJob | StepJob

/** How far a run got. */
export interface TrainingResult {
  kind: 'train'
  state: TrainingState
  /** What the optimizer saved, as long as the run can go on. */
  checkpoint: Uint8Array | null
  /** Test metric of a finished run, where it was asked for. */
  test: number | null
  milliseconds: number
}

/** What a step computes, or why it cannot. */
export interface StepResult {
  kind: 'step'
  gradients: number | null
  /** Milliseconds of a step on a bowl with the parameters of the task, compiling included. */
  milliseconds: number
  /** `missing`: the optimizer needs something that tasks do not give. */
  failure: { missing: boolean; message: string; stack: string | null } | null
}

export type JobResult = TrainingResult | StepResult

/** What a job is told while it runs. */
export interface JobObserver {
  signal?: AbortSignal | undefined
  /** Is told the optimizer steps taken in this job so far. */
  onStep?: ((steps: number) => void) | undefined
}

/**
 * Does a job. What the task or the optimizer throws is a result.
 *
 * @throws only the reason of the signal, when it is aborted
 */
export async function perform(task: Task, entry: Entry, job: Job, observer: JobObserver = {}): Promise<JobResult> {
  return job.kind === 'train' ? train(task, entry, job, observer) : measureStep(task, entry, job)
}

async function train(task: Task, entry: Entry, job: TrainingJob, observer: JobObserver): Promise<TrainingResult> {
  const start = performance.now()
  const { setting, steps, seed, evaluateEvery, nonFinite, until } = job
  const state = job.from === null ? beginning() : structuredClone(job.from.state)
  let optimizer: CompiledOptimizer | null = null
  try {
    // What is not finite is always reported by the optimizer; `advance` decides what follows from it.
    optimizer = await compile(entry.create(setting, steps), task.parameters, { nonFinite: 'skip', backend: wasm() })
    if (job.from !== null) optimizer.load(job.from.checkpoint)
    const plan = { task, optimizer, seed, steps, evaluateEvery, nonFinite }
    const before = state.step
    await advance(plan, state, until, {
      signal: observer.signal,
      onStep: (step) => observer.onStep?.(step - before),
    })
    const test = job.test && state.outcome === 'finished' ? await testMetric(plan) : null
    const checkpoint = state.outcome === null ? optimizer.save() : null
    return { kind: 'train', state, checkpoint, test, milliseconds: performance.now() - start }
  } catch (error) {
    observer.signal?.throwIfAborted()
    state.outcome = 'failed'
    state.message = error instanceof Error ? error.message : String(error)
    if (error instanceof Error && error.stack) state.stack = error.stack
    return { kind: 'train', state, checkpoint: null, test: null, milliseconds: performance.now() - start }
  } finally {
    optimizer?.dispose()
  }
}

async function measureStep(task: Task, entry: Entry, { setting, steps }: StepJob): Promise<StepResult> {
  const start = performance.now()
  try {
    const gradients = await gradientsPerStep(entry.create(setting, steps), task)
    return { kind: 'step', gradients, milliseconds: performance.now() - start, failure: null }
  } catch (error) {
    const missing = error instanceof MissingInputError
    const message = error instanceof Error ? error.message : String(error)
    const stack = error instanceof Error ? (error.stack ?? null) : null
    return {
      kind: 'step',
      gradients: null,
      milliseconds: performance.now() - start,
      failure: { missing, message, stack },
    }
  }
}
