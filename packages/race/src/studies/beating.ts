import { hostname } from 'node:os'
import type { Study, Trial } from '@fallline/search'

/** Milliseconds without a sign of life after which somebody else does a run again, unless asked for otherwise. */
export const defaultPatience = 60_000

/** Milliseconds between two looks at what others do, where there is nothing to do here. */
export const nap = 250

/** Signs of life within the time after which a silent process is given up. */
const beatsPerPatience = 4

/** Who works, for people. */
export const thisProcess = `${hostname()}, process ${process.pid}`

/** Says regularly that a trial is worked on, and notices when somebody else has taken it over. */
export class Beating {
  readonly signal: AbortSignal
  readonly #lost = new AbortController()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(study: Study, trial: Trial, patience: number, signal: AbortSignal | undefined) {
    this.signal = signal ? AbortSignal.any([signal, this.#lost.signal]) : this.#lost.signal
    if (patience === Infinity) return
    this.#timer = setInterval(() => {
      study.beat(trial).then(
        (isOurs) => isOurs || this.#lost.abort(),
        // A database that cannot be reached is noticed by whoever tells the outcome.
        () => {},
      )
    }, patience / beatsPerPatience)
  }

  get isLost(): boolean {
    return this.#lost.signal.aborted
  }

  end(): void {
    clearInterval(this.#timer)
  }
}
