import { finiteNumbers, methodNamed } from './check.ts'
import { type DoorLimits, takeStates } from './door.ts'
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
export interface Limits extends DoorLimits<State> {
  /** Default 200 times the number of variables, at least 1,000; no limit for methods that end by a schedule. */
  readonly iterations?: number
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
  const minimizer = methodNamed(minimizers, method)
  const from = finiteNumbers(start)
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
  let kept: State | undefined
  const { last, iterations, status } = takeStates(
    solving,
    limits,
    () => problem.evaluations.values,
    (state) => {
      if (problem.hasConstraints && isBetter(state, kept, allowed)) kept = state
      return undefined
    },
  )
  const rest = { iterations, evaluations: problem.evaluations, status }
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
