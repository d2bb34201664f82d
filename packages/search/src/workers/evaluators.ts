import { fork } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import type { FromEvaluator, ToEvaluator } from './messages.ts'

/** Where objectives run: threads start faster and share the memory of the process; a process may also crash without harm to the others. */
export type EvaluatorKind = 'thread' | 'process'

/** A thread or process that runs an objective. */
export interface Evaluator {
  /** Does nothing when it has ended. */
  send(message: ToEvaluator): void
  /** Who hears what it says; one at a time. */
  hear: (message: FromEvaluator) => void
  /** Resolves, with why in words, when it has ended. */
  readonly ended: Promise<string>
  /** Ends it at once, whatever it does. */
  end(): void
}

/**
 * Starts a script that calls `answerTrials`.
 *
 * @param given what the script finds as the last of `process.argv`
 */
export function startEvaluator(kind: EvaluatorKind, script: URL, given: string): Evaluator {
  return kind === 'thread' ? thread(script, given) : child(script, given)
}

const conditions = '--conditions=@fallline/source'

/** Whether Node needs what the tests run with to read a script. */
const isTypeScript = (script: URL) => script.pathname.endsWith('.ts')

/** `tsx` leaves threads alone unless it is told. */
function withTypeScript(script: URL): URL {
  const register = `import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))}; register()`
  return new URL(`data:text/javascript,${encodeURIComponent(`${register}; await import(${JSON.stringify(script)})`)}`)
}

function thread(script: URL, given: string): Evaluator {
  const worker = new Worker(isTypeScript(script) ? withTypeScript(script) : script, {
    argv: [given],
    execArgv: isTypeScript(script) ? [conditions] : [],
    stdout: true,
  })
  // What an objective prints is no part of what a program prints.
  worker.stdout.pipe(process.stderr, { end: false })
  let why: string | undefined
  worker.on('error', (error) => {
    why = error.message
  })
  const evaluator: Evaluator = {
    send: (message) => worker.postMessage(message),
    hear: () => {},
    ended: new Promise((resolve) => worker.once('exit', (code) => resolve(why ?? `exit code ${code}`))),
    end: () => void worker.terminate(),
  }
  worker.on('message', (message: FromEvaluator) => evaluator.hear(message))
  return evaluator
}

function child(script: URL, given: string): Evaluator {
  const process = fork(script, [given], {
    execArgv: isTypeScript(script) ? [conditions, '--import', import.meta.resolve('tsx')] : [],
    stdio: ['ignore', 2, 2, 'ipc'],
    // JSON has no Infinity.
    serialization: 'advanced',
  })
  const evaluator: Evaluator = {
    send: (message) => process.connected && process.send(message, () => {}),
    hear: () => {},
    ended: new Promise((resolve) => process.once('exit', (code, by) => resolve(by ?? `exit code ${code}`))),
    end: () => void process.kill('SIGKILL'),
  }
  process.on('message', (message) => evaluator.hear(message as FromEvaluator))
  return evaluator
}
