import { type ChildProcess, fork } from 'node:child_process'
import type { Outcome, Study, Trial } from '@fallline/search'
import type { FromEvaluator, ToEvaluator } from './messages.ts'

/** How often the process of a trial may die before the trial has failed. */
const attempts = 3

/**
 * Runs objectives in child processes, so that this one stays free to say that their trials are alive. A child that dies is replaced,
 * and its trial is run again.
 */
export class Supervisor {
  readonly #module: string
  readonly #study: Study
  readonly #heartbeat: number
  readonly #idle: ChildProcess[] = []
  readonly #all = new Set<ChildProcess>()

  /** @param heartbeat milliseconds between two signs of life of a trial */
  constructor(module: string, study: Study, heartbeat: number) {
    this.#module = module
    this.#study = study
    this.#heartbeat = heartbeat
  }

  /** Runs the objective for a trial; the objective of `Study.optimize`. */
  async evaluate(trial: Trial, signal: AbortSignal): Promise<Outcome | 'stopped'> {
    for (let attempt = 1; ; attempt++) {
      const child = this.#idle.pop() ?? this.#start()
      try {
        const outcome = await this.#run(child, trial, signal)
        this.#idle.push(child)
        return outcome
      } catch (error) {
        if (!(error instanceof ChildDied)) {
          if (this.#all.has(child)) this.#idle.push(child)
          throw error
        }
        if (attempt >= attempts || signal.aborted) throw error
      }
    }
  }

  /** Ends all children. */
  close(): void {
    for (const child of this.#all) child.kill('SIGKILL')
  }

  #start(): ChildProcess {
    const isSource = import.meta.url.endsWith('.ts')
    // Node alone cannot read TypeScript: from the sources, a child needs what the tests run with.
    const execArgv = isSource ? ['--conditions=@fallline/source', '--import', import.meta.resolve('tsx')] : []
    const child = fork(new URL(`./evaluator.${isSource ? 'ts' : 'js'}`, import.meta.url), [this.#module], {
      execArgv,
      // What an objective prints is no part of what this command prints.
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#all.add(child)
    child.once('exit', () => {
      this.#all.delete(child)
      const place = this.#idle.indexOf(child)
      if (place >= 0) this.#idle.splice(place, 1)
    })
    return child
  }

  #run(child: ChildProcess, trial: Trial, signal: AbortSignal): Promise<Outcome | 'stopped'> {
    const send = (message: ToEvaluator) => child.connected && child.send(message, () => {})
    let last = trial.record.reports.at(-1)?.step ?? -Infinity
    return new Promise<Outcome | 'stopped'>((resolve, reject) => {
      const settled = (settle: () => void) => {
        clearInterval(beating)
        child.off('message', hear)
        child.off('exit', died)
        signal.removeEventListener('abort', kill)
        settle()
      }
      const kill = () => child.kill('SIGKILL')
      const died = (code: number | null, by: string | null) =>
        settled(() => reject(new ChildDied(`the process of its objective ended with ${by ?? `exit code ${code}`}`)))
      const failed = (error: unknown) => {
        kill()
        settled(() => reject(error))
      }
      const hear = (message: FromEvaluator) => {
        if (message.kind === 'outcome') settled(() => resolve(message.outcome))
        else if (message.kind === 'error') settled(() => reject(new ObjectiveFailed(message.message)))
        else if (message.kind === 'note') {
          trial.annotate(message.attribute, message.value).then(() => send({ kind: 'noted' }), failed)
        } else if (message.kind === 'report') {
          // A child that replaces one that died tells its steps again.
          if (message.step <= last) send({ kind: 'verdict', verdict: 'continue' })
          else {
            last = message.step
            trial.report(message.step, message.value).then((verdict) => send({ kind: 'verdict', verdict }), failed)
          }
        }
      }
      const beating = setInterval(() => {
        this.#study.beat(trial).then(
          (isOurs) => isOurs || failed(new Error(`trial ${trial.number} has been taken over by another worker`)),
          // A database that cannot be reached is noticed by whoever tells the outcome.
          () => {},
        )
      }, this.#heartbeat)
      child.on('message', hear)
      child.once('exit', died)
      signal.addEventListener('abort', kill)
      const { seed, until, from, record } = trial
      if (child.exitCode !== null || child.signalCode !== null) died(child.exitCode, child.signalCode)
      else if (signal.aborted) kill()
      else send({ kind: 'trial', seed, until, from, record })
    })
  }
}

/** An objective threw, or its process died. */
export class ObjectiveFailed extends Error {
  override readonly name: string = 'ObjectiveFailed'
}

class ChildDied extends ObjectiveFailed {
  override readonly name = 'ChildDied'
}
