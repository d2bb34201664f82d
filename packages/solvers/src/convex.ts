import { finiteNumbers, methodNamed } from './check.ts'
import {
  type ConvexMethod,
  type ConvexObjective,
  ConvexProblem,
  type ConvexSettings,
  type ConvexState,
} from './convex-problem.ts'
import { type DoorLimits, runSolver, watching } from './door.ts'
import { acceleratedGradient } from './methods/convex/accelerated-gradient.ts'
import { blockCoordinateDescent } from './methods/convex/block-coordinate-descent.ts'
import { centreOfGravity } from './methods/convex/centre-of-gravity.ts'
import { coordinateDescent } from './methods/convex/coordinate-descent.ts'
import { dualAveraging } from './methods/convex/dual-averaging.ts'
import { ellipsoid } from './methods/convex/ellipsoid.ts'
import { fista } from './methods/convex/fista.ts'
import { frankWolfe } from './methods/convex/frank-wolfe.ts'
import { gradientDescent } from './methods/convex/gradient-descent.ts'
import { interiorPoint } from './methods/convex/interior-point.ts'
import { mirrorDescent } from './methods/convex/mirror-descent.ts'
import { mirrorProx } from './methods/convex/mirror-prox.ts'
import { randomWalk } from './methods/convex/random-walk.ts'
import { vaidya } from './methods/convex/vaidya.ts'
import type { Evaluations } from './objective.ts'
import type { ProblemOptions } from './problem.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Every method of `convex`, by name. */
export const convexMethods = {
  gradientDescent,
  acceleratedGradient,
  frankWolfe,
  mirrorDescent,
  dualAveraging,
  fista,
  mirrorProx,
  centreOfGravity,
  ellipsoid,
  vaidya,
  interiorPoint,
  coordinateDescent,
  randomWalk,
  blockCoordinateDescent,
} as const satisfies Readonly<Record<string, ConvexMethod>>

export type ConvexMethodName = keyof typeof convexMethods

export interface ConvexOptions
  extends Partial<Omit<ConvexSettings, 'iterations'>>,
    Pick<ProblemOptions, 'bounds' | 'differences'>,
    DoorLimits<ConvexState> {
  /** Default 'acceleratedGradient'. */
  readonly method?: ConvexMethodName
}

export interface ConvexResult {
  /** The point with the smallest value. */
  readonly point: Float64Array
  readonly value: number
  readonly residual: number
  readonly iterations: number
  readonly evaluations: Evaluations
  readonly status: Status
}

/**
 * Minimizes a convex function over a convex set by the methods of S. Bubeck's monograph, Convex Optimization: Algorithms and Complexity (2015, arXiv
 * 1405.4980), each with the accuracy it is proved to have.
 *
 * @param start where to begin; it is not changed, and projected into the set first where `project` or bounds say how.
 * @returns the point with the smallest value, also where the objective has thrown, a limit was reached or the method has failed; status
 * `unbounded` where a value is minus infinity, and `failed` where cutting planes or the barrier find no inside of the set.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function convex(
  objective: ((x: Float64Array) => number) | ConvexObjective,
  start: Numbers,
  options: ConvexOptions = {},
): ConvexResult {
  const { method = 'acceleratedGradient', iterations = 1000, inequalities } = options
  const chosen: ConvexMethod = methodNamed(convexMethods, method)
  const from = finiteNumbers(start)
  const settings: ConvexSettings = {
    strongConvexity: 0,
    radius: 10,
    mirror: 'euclidean',
    power: 0,
    tolerance: 1e-6,
    seed: 0,
    ...options,
    iterations,
  }
  for (const name of ['radius', 'smoothness', 'lipschitz'] as const) {
    if (settings[name] !== undefined && !(settings[name]! > 0)) {
      throw new RangeError(`${name}: ${settings[name]} is not above 0`)
    }
  }
  const problem = new ConvexProblem(objective, from.length, options, inequalities)
  let best: ConvexState | undefined
  const limits = watching({ ...options, iterations }, (state: ConvexState) => {
    if (best === undefined || state.value < best.value) best = state
  })
  const solving = untilUnbounded(chosen.solve(problem, problem.project(from), settings))
  const ended = runSolver(solving, limits, () => problem.evaluations.values)
  const found = best ?? { point: from, value: Infinity, residual: Infinity }
  return {
    point: found.point.slice(),
    value: found.value,
    residual: ended.best?.residual ?? found.residual,
    iterations: ended.iterations,
    evaluations: problem.evaluations,
    status: ended.status,
  }
}

/** Ends where there is nothing lower. */
function* untilUnbounded(solving: Generator<ConvexState, Status, void>): Generator<ConvexState, Status, void> {
  for (;;) {
    const next = solving.next()
    if (next.done) return next.value
    yield next.value
    if (next.value.value === -Infinity) return { kind: 'unbounded' }
  }
}
