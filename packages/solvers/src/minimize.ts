import type { Abilities, Minimizer, Tolerances } from './method.ts'
import type { Evaluations, Objective } from './objective.ts'
import { Problem, type ProblemOptions } from './problem.ts'
import { type MinimizerName, minimizers } from './registry.ts'
import type { State, Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** What `minimize` takes besides the objective and the start. */
export interface MinimizeOptions extends ProblemOptions, Limits {
  /** Default 'bfgs'; 'slsqp' where there are constraints, else 'l-bfgs-b' where there are bounds. */
  readonly method?: MinimizerName
  readonly tolerances?: Partial<Tolerances>
  /** For methods that draw random numbers. Default 0. */
  readonly seed?: number
}

/** When to stop before a method is content. */
export interface Limits {
  /** Default 200 times the number of variables, at least 1,000; no limit for methods that end by a schedule. */
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
  /** The best point that was evaluated; with constraints, of the points that the method has come to, the best that keeps them. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  /** By how much the constraint that is hurt most is hurt; only where there are constraints. */
  readonly violation?: number
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
  const { tolerances, seed = 0 } = options
  const { method = options.constraints?.length ? 'slsqp' : options.bounds ? 'l-bfgs-b' : 'bfgs' } = options
  const minimizer = minimizers[method]
  if (!minimizer) {
    throw new RangeError(`method: '${method}' is not one of ${Object.keys(minimizers).join(', ')}`)
  }
  const from = Float64Array.from(start)
  const wrong = from.findIndex((element) => !Number.isFinite(element))
  if (wrong >= 0) throw new RangeError(`start[${wrong}]: ${from[wrong]} is not a finite number`)
  const problem = new Problem(objective, from.length, options)
  for (const kind of ['bounds', 'constraints'] as const) {
    if (!options[kind]?.length || (minimizer.takes as Abilities)[kind]) continue
    const others = Object.values<Minimizer>(minimizers).filter(({ takes }) => takes[kind])
    throw new RangeError(`${kind}: ${method} takes none; ${others.map(({ name }) => name).join(', ')} do`)
  }
  const able: Abilities = minimizer.takes
  if (able.needsBounds) {
    for (let i = 0; i < from.length; i++) {
      const pair = [problem.lower?.[i] ?? -Infinity, problem.upper?.[i] ?? Infinity]
      if (!pair.every(Number.isFinite))
        throw new RangeError(`bounds[${i}]: ${method} needs two finite bounds, not ${pair}`)
    }
  }
  const tests = { ...defaults, ...tolerances }
  const solving = minimizer.solve(problem, problem.project(from), tests, seed)
  const usual = able.global ? Infinity : Math.max(1000, 200 * from.length)
  return runToEnd(problem, solving, { ...options, iterations: options.iterations ?? usual }, tests.gradient)
}

/**
 * Takes states until a method or a limit ends it.
 *
 * @param allowed how much a constraint may be hurt by a point that counts as keeping it.
 */
export function runToEnd(
  problem: Pick<Problem, 'evaluations' | 'best' | 'size'> & { readonly hasConstraints?: boolean },
  solving: Generator<State, Status, void>,
  limits: Limits,
  allowed = 0,
): Result {
  const began = performance.now()
  let iterations = -1
  let last: State | undefined
  let kept: State | undefined
  const status = ((): Status => {
    try {
      for (;;) {
        const next = solving.next()
        if (next.done) return next.value
        last = next.value
        if (problem.hasConstraints && isBetter(last, kept, allowed)) kept = last
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
  const rest = { iterations: Math.max(0, iterations), evaluations: problem.evaluations, status }
  if (kept) {
    const { point, value, residual, violation = 0 } = kept
    return { point: point.slice(), value, residual, violation, ...rest }
  }
  const best = problem.best
  return {
    point:
      last && best && last.value <= best.value ? last.point.slice() : (best?.point ?? new Float64Array(problem.size)),
    value: Math.min(last?.value ?? Infinity, best?.value ?? Infinity),
    residual: last?.residual ?? Infinity,
    ...rest,
  }
}

/** @param allowed how much a constraint may be hurt by a point that counts as keeping it. */
function isBetter(state: State, kept: State | undefined, allowed: number): boolean {
  if (!kept) return true
  const [hurt, before] = [state, kept].map(({ violation = 0 }) => Math.max(0, violation - allowed)) as [number, number]
  return hurt < before || (hurt === before && state.value <= kept.value)
}
