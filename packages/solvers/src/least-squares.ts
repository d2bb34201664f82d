import { finiteNumbers, methodNamed } from './check.ts'
import type { LeastSquaresMethod, Tolerances } from './method.ts'
import { type Limits, type Result, runToEnd } from './minimize.ts'
import { type LeastSquaresName, leastSquaresMethods } from './registry.ts'
import { Residuals, type ResidualsOptions } from './residuals.ts'
import type { Numbers } from './vector.ts'

/** What `leastSquares` takes besides the residuals and the start. */
export interface LeastSquaresOptions extends ResidualsOptions, Limits {
  /** Default 'levenbergMarquardt', with bounds 'trustRegionReflective'. */
  readonly method?: LeastSquaresName
  /**
   * Default 1e-8 each, as in SciPy. `gradient` is for 'levenbergMarquardt' the largest cosine between the residuals and a column of the
   * Jacobian, for 'trustRegionReflective' the largest element of the gradient times its distance from a bound.
   */
  readonly tolerances?: Partial<Tolerances>
  /** The characteristic size of each variable. Default: the inverse norms of the columns of the Jacobian. */
  readonly scale?: Numbers
  /**
   * Length of the longest first step, relative to that of the start, both in units of `scale`. Default 1 (SciPy's Levenberg-Marquardt: 100,
   * which leads some of NIST's problems astray). Smaller where a first step leads too far.
   */
  readonly radius?: number
}

/** What `leastSquares` found. */
export interface LeastSquaresResult extends Result {
  /** At the point; empty where they could not be had. */
  readonly residuals: Float64Array
  /** The rows of the Jacobian of the residuals at the point, by variables that can move; empty where it could not be had. */
  readonly jacobian: readonly Float64Array[]
}

/**
 * Minimizes half the sum of rho(f_i(x)²), where the residuals f are a vector of any length and rho is the identity unless a loss is given.
 *
 * @param residuals gives as many numbers every time.
 * @param start where to begin; it is not changed, and moved into the bounds first where it lies outside.
 * @returns the best point, also where the residuals have thrown, a limit was reached or the method has failed: `status` says which;
 * `evaluations.values` counts residuals, those for finite differences too, and `evaluations.gradients` Jacobians.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function leastSquares(
  residuals: (x: Float64Array) => Numbers,
  start: Numbers,
  options: LeastSquaresOptions = {},
): LeastSquaresResult {
  const { bounds, tolerances, scale, radius } = options
  const name = options.method ?? (bounds ? 'trustRegionReflective' : 'levenbergMarquardt')
  const method = methodNamed<LeastSquaresMethod>(leastSquaresMethods, name)
  if (bounds && !method.takes.bounds) throw new RangeError(`bounds: ${name} takes none; trustRegionReflective does`)
  const from = finiteNumbers(start)
  if (scale && scale.length !== from.length) {
    throw new RangeError(`scale: ${scale.length} numbers were given for ${from.length} variables`)
  }
  scale?.forEach((element, i) => {
    if (!(element > 0 && element < Infinity)) throw new RangeError(`scale[${i}]: ${element} must be a number above 0`)
  })
  if (radius !== undefined && !(radius > 0)) throw new RangeError(`radius: ${radius} must be a number above 0`)
  const problem = new Residuals(residuals, from, options)
  const solving = method.solve(
    problem,
    problem.start,
    { gradient: 1e-8, value: 1e-8, step: 1e-8, ...tolerances },
    {
      ...(scale ? { scale: problem.free(Float64Array.from(scale)) } : {}),
      ...(radius === undefined ? {} : { radius }),
    },
  )
  const iterations = options.iterations ?? Math.max(1000, 200 * from.length)
  const result = runToEnd(problem, solving, { ...options, iterations })
  return { ...result, ...problem.found(result.point) }
}
