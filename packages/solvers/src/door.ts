import type { Status } from './state.ts'

/** When to stop before a method is content. */
export interface DoorLimits<S> {
  /** Each door has a default. */
  readonly iterations?: number
  /** Of the value, or of what the method asks for instead. Default: no limit. */
  readonly evaluations?: number
  /** Default: no limit. */
  readonly seconds?: number
  readonly signal?: AbortSignal
  /** Sees every state; stops where it gives false. */
  readonly callback?: (state: S, iteration: number) => unknown
}

/** What a loop over a solver ends with. */
export interface Taken<S> {
  readonly last: S | undefined
  readonly iterations: number
  readonly status: Status
}

/**
 * Takes states until a method or a limit ends it: the loop of every door. An error of what the user gave ends it as `failed`.
 *
 * @param see is shown every state before anybody else; the status that it gives, if any, ends the loop after the callback.
 */
export function takeStates<S>(
  solving: Generator<S, Status, void>,
  limits: DoorLimits<S>,
  evaluations: () => number,
  see: (state: S) => Status | undefined,
): Taken<S> {
  const began = performance.now()
  let iterations = -1
  let last: S | undefined
  const status = ((): Status => {
    try {
      for (;;) {
        const next = solving.next()
        if (next.done) return next.value
        last = next.value
        iterations++
        const seen = see(last)
        if (limits.callback?.(last, iterations) === false) return { kind: 'limit', of: 'callback' }
        if (seen) return seen
        if (limits.signal?.aborted) return { kind: 'limit', of: 'signal' }
        if (iterations >= (limits.iterations ?? Infinity)) return { kind: 'limit', of: 'iterations' }
        if (evaluations() >= (limits.evaluations ?? Infinity)) return { kind: 'limit', of: 'evaluations' }
        if (performance.now() - began >= 1000 * (limits.seconds ?? Infinity)) return { kind: 'limit', of: 'seconds' }
      }
    } catch (error) {
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  })()
  return { last, iterations: Math.max(0, iterations), status }
}

/** What a loop over states with a residual ends with. */
export interface Ended<S> extends Taken<S> {
  /** The state with the smallest residual; the last one where none has a residual that is a number. */
  readonly best: S | undefined
}

/** Takes states and keeps the one with the smallest residual; a residual that is not a number ends it as `failed`. */
export function runSolver<S extends { readonly residual: number }>(
  solving: Generator<S, Status, void>,
  limits: DoorLimits<S>,
  evaluations: () => number = () => 0,
): Ended<S> {
  let best: S | undefined
  const taken = takeStates(solving, limits, evaluations, (state) => {
    if (Number.isNaN(state.residual)) return { kind: 'failed', reason: 'the residual is not a number' }
    if (best === undefined || !(state.residual >= best.residual)) best = state
    return undefined
  })
  return { ...taken, best: best ?? taken.last }
}

/** Limits whose callback is the user's, after `see` has been shown the state. */
export function watching<S>(limits: DoorLimits<S>, see: (state: S) => void): DoorLimits<S> {
  return {
    ...limits,
    callback: (state, iteration) => {
      see(state)
      return limits.callback?.(state, iteration)
    },
  }
}
