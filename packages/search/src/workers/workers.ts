import type { Outcome } from '../study/outcome.ts'
import type { Trial } from '../study/run.ts'
import { type Evaluator, type EvaluatorKind, startEvaluator } from './evaluators.ts'

/** How often the thread or process of a trial may die before the trial has failed. */
const attempts = 3

/** Signs of life within the time after which others take a silent trial over. */
const beatsPerPatience = 4

/** What `Workers` needs of a study. */
export interface Beating {
  readonly patience: number
  beat(trial: Trial<never>): Promise<boolean>
}

/** How `Workers` runs objectives. */
export interface WorkersOptions {
  /** Default: `thread`. */
  readonly kind?: EvaluatorKind
  /** A script that calls `answerTrials` and finds the module as the last of `process.argv`. Default: one that imports it. */
  readonly script?: URL
}

/**
 * Runs the objective of a module in worker threads or child processes of Node, as many as trials run at the same time. The thread that
 * made it stays free to say that their trials are alive, four times within the patience of the study. A thread or process that dies is
 * replaced, and its trial is run again, up to three times. With `deterministic` a study comes out as it does without workers.
 *
 * ```
 * const workers = new Workers(study, new URL('./parabola.js', import.meta.url))
 * await study.optimize(workers.evaluate, { trials: 100, parallel: 4 })
 * workers.close()
 * ```
 */
export class Workers {
  readonly #study: Beating
  readonly #start: () => Evaluator
  readonly #idle: Evaluator[] = []
  readonly #all = new Set<Evaluator>()

  /** @param module exports `objective`, a function of a trial */
  constructor(
    study: Beating,
    module: URL | string,
    { kind = 'thread', script = evaluatorScript() }: WorkersOptions = {},
  ) {
    this.#study = study
    this.#start = () => startEvaluator(kind, script, String(module))
  }

  /** Runs the objective for a trial; the objective of `Study.optimize`. */
  readonly evaluate = async <Values>(trial: Trial<Values>): Promise<Outcome | 'stopped'> => {
    for (let attempt = 1; ; attempt++) {
      const evaluator = this.#idle.pop() ?? this.#started()
      try {
        return await this.#run(evaluator, trial)
      } catch (error) {
        if (!(error instanceof EvaluatorDied) || attempt >= attempts || trial.signal.aborted) throw error
      } finally {
        if (this.#all.has(evaluator)) this.#idle.push(evaluator)
      }
    }
  }

  /** Ends all threads and processes at once. */
  close(): void {
    for (const evaluator of this.#all) evaluator.end()
  }

  #started(): Evaluator {
    const evaluator = this.#start()
    this.#all.add(evaluator)
    void evaluator.ended.then(() => {
      this.#all.delete(evaluator)
      const place = this.#idle.indexOf(evaluator)
      if (place >= 0) this.#idle.splice(place, 1)
    })
    return evaluator
  }

  #run<Values>(evaluator: Evaluator, trial: Trial<Values>): Promise<Outcome | 'stopped'> {
    const { number, parameters, seed, until, from, record, signal } = trial
    const { patience } = this.#study
    let last = record.reports.at(-1)?.step ?? -Infinity
    return new Promise<Outcome | 'stopped'>((resolve, reject) => {
      let isOver = false
      const settled = (settle: () => void) => {
        isOver = true
        clearInterval(beating)
        signal.removeEventListener('abort', end)
        settle()
      }
      const end = () => {
        this.#all.delete(evaluator)
        evaluator.end()
      }
      const failed = (error: unknown) => {
        end()
        settled(() => reject(error))
      }
      evaluator.hear = (message) => {
        if (isOver) return
        if (message.kind === 'outcome') settled(() => resolve(message.outcome))
        else if (message.kind === 'error') settled(() => reject(new ObjectiveFailed(message.message)))
        else if (message.kind === 'note') {
          trial.annotate(message.attribute, message.value).then(() => evaluator.send({ kind: 'noted' }), failed)
        } else if (message.step <= last) {
          // One that replaces one that died tells its steps again.
          evaluator.send({ kind: 'verdict', verdict: 'continue' })
        } else {
          last = message.step
          trial
            .report(message.step, message.value)
            .then((verdict) => evaluator.send({ kind: 'verdict', verdict }), failed)
        }
      }
      const beat = () =>
        this.#study.beat(trial as Trial<never>).then(
          (isOurs) => isOurs || failed(new Error(`trial ${number} has been taken over by another worker`)),
          // A database that cannot be reached is noticed by whoever tells the outcome.
          () => {},
        )
      const beating = patience === Infinity ? undefined : setInterval(beat, patience / beatsPerPatience)
      signal.addEventListener('abort', end)
      void evaluator.ended.then((why) => {
        this.#all.delete(evaluator)
        if (!isOver) settled(() => reject(new EvaluatorDied(`what ran its objective ended: ${why}`)))
      })
      if (signal.aborted) end()
      else evaluator.send({ kind: 'trial', trial: { number, parameters, seed, until, from, record } })
    })
  }
}

/** An objective threw, or what ran it died time after time. */
export class ObjectiveFailed extends Error {
  override readonly name: string = 'ObjectiveFailed'
}

class EvaluatorDied extends ObjectiveFailed {
  override readonly name = 'EvaluatorDied'
}

function evaluatorScript(): URL {
  return new URL(`./evaluator.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)
}
