import type { Limits } from './minimize.ts'
import type { Status } from './state.ts'

/** `Limits` for a door whose states are not those of `minimize`. */
export type DoorLimits<S> = Omit<Limits, 'callback'> & {
  /** Sees every state; stops where it gives false. */
  readonly callback?: (state: S, iteration: number) => unknown
}

/** What a loop over a solver ends with. */
export interface Ended<S> {
  /** The state with the smallest residual; the last one where none has a residual that is a number. */
  readonly best: S | undefined
  readonly last: S | undefined
  readonly iterations: number
  readonly status: Status
}

/**
 * Takes states until a method or a limit ends it: the loop of every door but `minimize`. An error of what the user gave ends it as
 * `failed`, and so does a residual that is not a number; the best state so far is kept.
 */
export function runSolver<S extends { readonly residual: number }>(
  solving: Generator<S, Status, void>,
  limits: DoorLimits<S>,
  evaluations: () => number = () => 0,
): Ended<S> {
  const began = performance.now()
  let iterations = -1
  let last: S | undefined
  let best: S | undefined
  const status = ((): Status => {
    try {
      for (;;) {
        const next = solving.next()
        if (next.done) return next.value
        last = next.value
        iterations++
        if (best === undefined || !(last.residual >= best.residual)) {
          if (!Number.isNaN(last.residual)) best = last
        }
        if (limits.callback?.(last, iterations) === false) return { kind: 'limit', of: 'callback' }
        if (Number.isNaN(last.residual)) return { kind: 'failed', reason: 'the residual is not a number' }
        if (limits.signal?.aborted) return { kind: 'limit', of: 'signal' }
        if (iterations >= (limits.iterations ?? Infinity)) return { kind: 'limit', of: 'iterations' }
        if (evaluations() >= (limits.evaluations ?? Infinity)) return { kind: 'limit', of: 'evaluations' }
        if (performance.now() - began >= 1000 * (limits.seconds ?? Infinity)) return { kind: 'limit', of: 'seconds' }
      }
    } catch (error) {
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  })()
  return { best: best ?? last, last, iterations: Math.max(0, iterations), status }
}
