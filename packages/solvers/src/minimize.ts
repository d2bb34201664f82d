import type { Tolerances } from './method.ts'
import type { Evaluations, Objective } from './objective.ts'
import { Problem, type ProblemOptions } from './problem.ts'
import { type MinimizerName, minimizers } from './registry.ts'
import type { State, Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** What `minimize` takes besides the objective and the start. */
export interface MinimizeOptions extends ProblemOptions, Limits {
  /** Default 'bfgs'. */
  readonly method?: MinimizerName
  readonly tolerances?: Partial<Tolerances>
  /** For methods that draw random numbers. Default 0. */
  readonly seed?: number
}

/** When to stop before a method is content. */
export interface Limits {
  /** Default 200 times the number of variables, at least 1,000. */
  readonly iterations?: number
  /** Of the value. Default: no limit. */
  readonly evaluations?: number
  /** Default: no limit. */
  readonly seconds?: number
  readonly signal?: AbortSignal
  /** Sees every state; stops where it gives false. */
  readonly callback?: (state: State, iteration: number) => unknown
}

/** What a solver found. */
export interface Result {
  /** The best point that was evaluated. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  readonly iterations: number
  readonly evaluations: Evaluations
  readonly status: Status
}

const defaults: Tolerances = { gradient: 1e-5, value: 0, step: 0 }

/**
 * Minimizes a function of several variables.
 *
 * @param objective a function, or an object that has derivatives too; those that are missing are taken by finite differences.
 * @param start where to begin; it is not changed, and moved into the bounds first where it lies outside.
 * @returns the best point, also where the objective has thrown, a limit was reached or the method has failed: `status` says which.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function minimize(
  objective: ((x: Float64Array) => number) | Objective,
  start: Numbers,
  options: MinimizeOptions = {},
): Result {
  const { method = 'bfgs', tolerances, seed = 0 } = options
  const minimizer = minimizers[method]
  if (!minimizer) {
    throw new RangeError(`method: '${method}' is not one of ${Object.keys(minimizers).join(', ')}`)
  }
  const from = Float64Array.from(start)
  const wrong = from.findIndex((element) => !Number.isFinite(element))
  if (wrong >= 0) throw new RangeError(`start[${wrong}]: ${from[wrong]} is not a finite number`)
  const problem = new Problem(objective, from.length, options)
  if (options.bounds && !minimizer.takes.bounds) {
    const able = Object.values(minimizers).filter(({ takes }) => takes.bounds)
    throw new RangeError(`bounds: ${method} takes none; ${able.map(({ name }) => name).join(', ')} do`)
  }
  const solving = minimizer.solve(problem, problem.project(from), { ...defaults, ...tolerances }, seed)
  return runToEnd(problem, solving, { ...options, iterations: options.iterations ?? Math.max(1000, 200 * from.length) })
}

/** Takes states until a method or a limit ends it. */
export function runToEnd(
  problem: Pick<Problem, 'evaluations' | 'best' | 'size'>,
  solving: Generator<State, Status, void>,
  limits: Limits,
): Result {
  const began = performance.now()
  let iterations = -1
  let last: State | undefined
  const status = ((): Status => {
    try {
      for (;;) {
        const next = solving.next()
        if (next.done) return next.value
        last = next.value
        iterations++
        if (limits.callback?.(last, iterations) === false) return { kind: 'limit', of: 'callback' }
        if (limits.signal?.aborted) return { kind: 'limit', of: 'signal' }
        if (iterations >= (limits.iterations ?? Infinity)) return { kind: 'limit', of: 'iterations' }
        if (problem.evaluations.values >= (limits.evaluations ?? Infinity)) return { kind: 'limit', of: 'evaluations' }
        if (performance.now() - began >= 1000 * (limits.seconds ?? Infinity)) return { kind: 'limit', of: 'seconds' }
      }
    } catch (error) {
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  })()
  const best = problem.best
  return {
    point:
      last && best && last.value <= best.value ? last.point.slice() : (best?.point ?? new Float64Array(problem.size)),
    value: Math.min(last?.value ?? Infinity, best?.value ?? Infinity),
    residual: last?.residual ?? Infinity,
    iterations: Math.max(0, iterations),
    evaluations: problem.evaluations,
    status,
  }
}
