import { parentPort } from 'node:worker_threads'
import type { Objective } from '../study/optimize.ts'
import { Stopped } from '../study/run.ts'
import type { FromEvaluator, ToEvaluator } from './messages.ts'

/**
 * Evaluates the trials that a `Workers` sends to this thread or process: what the script of one of its own calls once.
 *
 * @throws Error in a process that no `Workers` has started
 */
export function answerTrials(objective: Objective<never>): void {
  if (parentPort === null && process.send === undefined) {
    throw new Error('answerTrials: this is no thread or process that Workers has started')
  }
  const say = (message: FromEvaluator) => (parentPort ? parentPort.postMessage(message) : process.send!(message))
  /** Who waits for an answer to what was said, in order. */
  const waiting: ((verdict: 'continue' | 'stop') => void)[] = []
  const asked = (message: FromEvaluator) =>
    new Promise<'continue' | 'stop'>((resolve) => {
      waiting.push(resolve)
      say(message)
    })
  const hear = async (message: ToEvaluator) => {
    if (message.kind !== 'trial') {
      waiting.shift()!(message.kind === 'verdict' ? message.verdict : 'continue')
      return
    }
    try {
      const outcome = await objective({
        ...(message.trial as typeof message.trial & { parameters: never }),
        signal: new AbortController().signal,
        report: (step, value) => asked({ kind: 'report', step, value }),
        annotate: async (attribute, value) => {
          await asked({ kind: 'note', attribute, value })
        },
      })
      say({ kind: 'outcome', outcome })
    } catch (error) {
      say(
        error instanceof Stopped
          ? { kind: 'outcome', outcome: 'stopped' }
          : { kind: 'error', message: error instanceof Error ? error.message : String(error) },
      )
    }
  }
  if (parentPort) {
    parentPort.on('message', hear)
    return
  }
  // Signals go to the whole group of a terminal; the process that supervises ends this one.
  process.on('SIGINT', () => {})
  process.on('disconnect', () => process.exit())
  process.on('message', hear)
}
