import { finiteNumbers, methodNamed } from './check.ts'
import type { EquationMethod, EquationSettings, EquationTolerances } from './method.ts'
import { type Limits, type Result, runToEnd } from './minimize.ts'
import type { Differences } from './problem.ts'
import { type FixedPointName, fixedPointMethods, type RootName, rootMethods } from './registry.ts'
import { Residuals } from './residuals.ts'
import { maximumNorm, type Numbers } from './vector.ts'

interface CommonOptions extends Limits, EquationSettings {
  readonly tolerances?: Partial<EquationTolerances>
}

/** What `root` takes besides the equations and the start. */
export interface RootOptions extends CommonOptions {
  /** Default 'brent' with a bracket, 'secant' in one variable, 'newton' in several. */
  readonly method?: RootName
  /** The rows of the Jacobian of the equations, or how finite differences find it. Default 'two-point'. */
  readonly jacobian?: Differences | ((x: Float64Array) => readonly Numbers[])
  /** The derivative in one variable. Default: by finite differences. */
  readonly derivative?: (x: number) => number
}

/** What `fixedPoint` takes besides the map and the start. */
export interface FixedPointOptions extends CommonOptions {
  /** Default 'anderson'. */
  readonly method?: FixedPointName
}

/** What `root` or `fixedPoint` found. `value` is half the sum of squares of the residuals, `residual` the largest absolute one. */
export interface RootResult extends Result {
  /** At the point; empty where they could not be had. */
  readonly residuals: Float64Array
}

/**
 * Finds where an equation in one variable, or as many equations as variables, are zero.
 *
 * @param start where to begin; it is not changed. With a bracket it is not used.
 * @returns the point with the smallest residuals, also where the equations have thrown, a limit was reached or the method has failed:
 * `status` says which; `evaluations.values` counts equations, those for finite differences too, and `evaluations.gradients` Jacobians.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function root(equation: (x: number) => number, start: number, options?: RootOptions): RootResult
export function root(equations: (x: Float64Array) => Numbers, start: Numbers, options?: RootOptions): RootResult
export function root(
  given: ((x: number) => number) | ((x: Float64Array) => Numbers),
  start: number | Numbers,
  options: RootOptions = {},
): RootResult {
  const { bracket, derivative } = options
  const from = typeof start === 'number' ? Float64Array.of(start) : Float64Array.from(start)
  const one = typeof start === 'number'
  const equations = one
    ? (x: Float64Array) => [(given as (x: number) => number)(x[0]!)]
    : (given as (x: Float64Array) => Numbers)
  const name = options.method ?? (bracket ? 'brent' : from.length === 1 ? 'secant' : 'newton')
  const method: EquationMethod = methodNamed<EquationMethod>(rootMethods, name)
  if (method.takes.variables === 'one' && from.length !== 1) {
    throw new RangeError(
      `method: ${name} is for one variable, and there are ${from.length}; newton, broyden and anderson are for any number`,
    )
  }
  if (method.takes.bracket && !bracket) {
    throw new RangeError(`bracket: ${name} needs two points between which the sign changes`)
  }
  if (bracket && !(bracket[0] < bracket[1] && Number.isFinite(bracket[0]) && Number.isFinite(bracket[1]))) {
    throw new RangeError(`bracket: [${bracket.join(', ')}] must be two finite numbers, the smaller one first`)
  }
  const jacobian = derivative ? (x: Float64Array) => [[derivative(x[0]!)]] : (options.jacobian ?? 'two-point')
  return solved(method, equations, 'equations', finiteNumbers(from), jacobian, options)
}

/**
 * Finds a point that a map leaves where it is.
 *
 * @param map gives as many numbers as it gets.
 * @returns as `root` does, with the residuals map(x) - x.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function fixedPoint(
  map: (x: Float64Array) => Numbers,
  start: Numbers,
  options: FixedPointOptions = {},
): RootResult {
  const method = methodNamed<EquationMethod>(fixedPointMethods, options.method ?? 'anderson')
  const residuals = (x: Float64Array) => {
    const before = x.slice()
    return Float64Array.from(map(x), (element, i) => element - before[i]!)
  }
  return solved(method, residuals, 'map', finiteNumbers(start), 'two-point', options)
}

function solved(
  method: EquationMethod,
  equations: (x: Float64Array) => Numbers,
  what: string,
  from: Float64Array,
  jacobian: Differences | ((x: Float64Array) => readonly Numbers[]),
  options: CommonOptions,
): RootResult {
  const { memory = 5, mixing = 1, bracket } = options
  if (!(Number.isInteger(memory) && memory >= 0))
    throw new RangeError(`memory: ${memory} must be a whole number from 0`)
  if (!(mixing !== 0 && Number.isFinite(mixing)))
    throw new RangeError(`mixing: ${mixing} must be a finite number but 0`)
  const checked = (x: Float64Array) => {
    const given = equations(x)
    if (given.length !== from.length) {
      throw new RangeError(`${what}: ${given.length} numbers were given for ${from.length} variables`)
    }
    return given
  }
  const problem = new Residuals(checked, from, { jacobian })
  const tolerances = { residual: 1e-10, step: 0, ...options.tolerances }
  const solving = method.solve(problem, from, tolerances, { memory, mixing, ...(bracket ? { bracket } : {}) })
  const iterations = options.iterations ?? Math.max(1000, 200 * from.length)
  const result = runToEnd(problem, solving, { ...options, iterations })
  const { point, residuals } = problem.found(result.point)
  return { ...result, point, residuals, residual: residuals.length > 0 ? maximumNorm(residuals) : result.residual }
}
