import { parentPort, workerData } from 'node:worker_threads'
import { loadTaskModule } from '../load-task.ts'
import { type Job, type JobResult, perform, received, type SentContender } from './job.ts'

/** What a worker thread is started with. */
export interface WorkerSettings {
  /** Name or path of the task, and the directory that a path is relative to. */
  task: string
  directory: string
}

/** A job as it is sent to a worker thread. */
export interface JobMessage {
  contender: SentContender
  job: Job
}

/** What a worker thread says: how far it is with its job, or that it is done. */
export type WorkerMessage = { kind: 'steps'; steps: number } | { kind: 'done'; result: JobResult }

/** Milliseconds between two reports of progress. */
const reportEvery = 200

/** Does the jobs that it is sent, one after another, on a task of its own. */
async function work(): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('this module is run by worker threads only')
  const { task: nameOrPath, directory } = workerData as WorkerSettings
  const { task, contenders } = await loadTaskModule(nameOrPath, directory)
  port.on('message', async ({ contender, job }: JobMessage) => {
    let last = performance.now()
    const result = await perform(task, received(contender, contenders), job, {
      onStep(steps) {
        if (performance.now() - last < reportEvery) return
        last = performance.now()
        port.postMessage({ kind: 'steps', steps } satisfies WorkerMessage)
      },
    })
    const bytes = result.kind === 'train' && result.checkpoint ? [result.checkpoint.buffer as ArrayBuffer] : []
    port.postMessage({ kind: 'done', result } satisfies WorkerMessage, bytes)
  })
}

await work()
