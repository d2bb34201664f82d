import { Worker } from 'node:worker_threads'
import type { Task } from '../task.ts'
import type { Contender, ContenderLike, Entry } from '../training/contenders.ts'
import { type Job, type JobResult, perform, type SentContender, sendable, type TrainingResult } from './job.ts'
import type { JobMessage, WorkerMessage, WorkerSettings } from './worker.ts'

/** What a pool is made of. */
export interface PoolOptions {
  /** Used by jobs that run in this thread. */
  task: Task
  /** Name or path of the task for worker threads; `null` when it cannot be loaded there, so that all runs in this thread. */
  taskName: string | null
  /** Contenders that the module of the task exports. */
  own: readonly Contender[]
  /** Worker threads; 0 for none. */
  workers: number
  signal?: AbortSignal | undefined
}

/** A contender with what a job needs of it. */
export interface PoolContender {
  entry: Entry
  given: ContenderLike
}

interface Waiting {
  contender: PoolContender
  sent: SentContender | null
  job: Job
  onStep: ((steps: number) => void) | undefined
  resolve(result: JobResult): void
  reject(error: unknown): void
}

/**
 * Does jobs on worker threads and, for what cannot be sent to one, in this thread; jobs of one kind of place begin in the order they
 * were given. A worker that dies fails its job and is replaced.
 */
export class Pool {
  readonly #options: PoolOptions
  readonly #waiting: Waiting[] = []
  readonly #threads = new Map<Thread, Waiting | null>()
  readonly #size: number
  #local: Waiting | null = null
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#size = options.taskName === null ? 0 : options.workers
    options.signal?.addEventListener('abort', () => this.#abort(), { once: true })
  }

  /** How many jobs can run at the same time. */
  get size(): number {
    return Math.max(1, this.#size)
  }

  /**
   * Does a job as soon as there is room.
   *
   * @throws the reason of the signal when it is aborted: the job is lost then
   */
  run<J extends Job>(
    contender: PoolContender,
    job: J,
    onStep?: (steps: number) => void,
  ): Promise<Extract<JobResult, { kind: J['kind'] }>> {
    const sent = this.#size > 0 ? sendable(contender, this.#options.own, job.setting, job.steps) : null
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        contender,
        sent,
        job,
        onStep,
        resolve: (result) => resolve(result as Extract<JobResult, { kind: J['kind'] }>),
        reject,
      })
      this.#dispatch()
    })
  }

  /** Ends the worker threads. Jobs that run are lost. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#threads.keys()].map((thread) => thread.end()))
    this.#threads.clear()
  }

  #abort(): void {
    const reason: unknown = this.#options.signal?.reason
    for (const waiting of this.#waiting.splice(0)) waiting.reject(reason)
    for (const running of this.#threads.values()) running?.reject(reason)
    // A job in this thread sees the signal itself.
    void this.close()
  }

  #dispatch(): void {
    if (this.#options.signal?.aborted) {
      this.#abort()
      return
    }
    if (this.#closed) {
      for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error('the pool is closed'))
      return
    }
    for (let index = 0; index < this.#waiting.length; ) {
      const waiting = this.#waiting[index]!
      if (this.#begin(waiting)) this.#waiting.splice(index, 1)
      else index++
    }
  }

  #begin(waiting: Waiting): boolean {
    if (waiting.sent === null) {
      if (this.#local !== null) return false
      this.#local = waiting
      void this.#runHere(waiting)
      return true
    }
    const thread = this.#idle()
    if (thread === null) return false
    this.#threads.set(thread, waiting)
    thread.send({ contender: waiting.sent, job: waiting.job })
    return true
  }

  async #runHere(waiting: Waiting): Promise<void> {
    const { task, signal } = this.#options
    const { contender, job, onStep } = waiting
    try {
      waiting.resolve(await perform(task, contender.entry, job, { signal, onStep }))
    } catch (error) {
      waiting.reject(error)
    }
    this.#local = null
    this.#dispatch()
  }

  #idle(): Thread | null {
    for (const [thread, running] of this.#threads) if (running === null) return thread
    if (this.#threads.size >= this.#size) return null
    const { taskName } = this.#options
    const thread = new Thread(
      { task: taskName!, directory: process.cwd() },
      (message) => this.#hear(thread, message),
      (reason) => this.#mourn(thread, reason),
    )
    this.#threads.set(thread, null)
    return thread
  }

  #hear(thread: Thread, message: WorkerMessage): void {
    const running = this.#threads.get(thread)
    if (!running) return
    if (message.kind === 'steps') {
      running.onStep?.(message.steps)
      return
    }
    this.#threads.set(thread, null)
    running.resolve(message.result)
    this.#dispatch()
  }

  /** A worker thread has ended by itself: out of memory, or the task ended the process. */
  #mourn(thread: Thread, reason: Error): void {
    const running = this.#threads.get(thread)
    this.#threads.delete(thread)
    if (running) running.resolve(failed(running.job, reason))
    if (!this.#closed) this.#dispatch()
  }
}

function failed(job: Job, reason: Error): JobResult {
  const { message } = reason
  if (job.kind === 'step') {
    return {
      kind: 'step',
      gradients: null,
      milliseconds: 0,
      failure: { missing: false, message, stack: reason.stack ?? null },
    }
  }
  const state: TrainingResult['state'] = {
    ...(job.from?.state ?? {
      step: 0,
      gradients: 0,
      skipped: 0,
      curve: { step: [], gradients: [], loss: [], validation: [] },
      lossSum: 0,
      lossCount: 0,
    }),
    outcome: 'failed',
    message,
    ...(reason.stack ? { stack: reason.stack } : {}),
  }
  return { kind: 'train', state, checkpoint: null, test: null, milliseconds: 0 }
}

/** A worker thread. */
class Thread {
  readonly #worker: Worker
  #ended = false

  constructor(settings: WorkerSettings, hear: (message: WorkerMessage) => void, mourn: (reason: Error) => void) {
    this.#worker = startWorker(settings)
    let reason: Error | null = null
    this.#worker.on('message', hear)
    this.#worker.on('error', (error) => {
      reason = error instanceof Error ? error : new Error(String(error))
    })
    this.#worker.on('exit', (code) => {
      if (!this.#ended) mourn(reason ?? new Error(`the worker thread ended with code ${code}`))
    })
  }

  send(message: JobMessage): void {
    this.#worker.postMessage(message)
  }

  async end(): Promise<void> {
    this.#ended = true
    await this.#worker.terminate()
  }
}

/** Starts the module of the worker, which lies beside this one. */
function startWorker(workerData: WorkerSettings): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url), { workerData })
  // Node alone cannot read TypeScript: from the sources, a worker first needs what the tests and the other commands run with.
  const module = JSON.stringify(new URL('./worker.ts', import.meta.url).href)
  return new Worker(`import('tsx/esm/api').then(({ register }) => { register(); return import(${module}) })`, {
    eval: true,
    execArgv: ['--conditions=@fallline/source'],
    workerData,
  })
}
