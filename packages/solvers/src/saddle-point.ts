import { finiteNumbers, methodNamed } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import { Field, type Game, type SaddleMethod, type SaddleSettings, type SaddleState } from './field.ts'
import { competitiveGradient } from './methods/saddle-point/competitive-gradient.ts'
import { competitiveGradientOptimization } from './methods/saddle-point/competitive-gradient-optimization.ts'
import { extragradient } from './methods/saddle-point/extragradient.ts'
import { optimisticCompetitiveGradientOptimization } from './methods/saddle-point/optimistic-competitive-gradient-optimization.ts'
import { optimisticGradient } from './methods/saddle-point/optimistic-gradient.ts'
import { proximalPoint } from './methods/saddle-point/proximal-point.ts'
import { twoTimescaleExtragradient } from './methods/saddle-point/two-timescale-extragradient.ts'
import { varianceReducedHalpern } from './methods/saddle-point/variance-reduced-halpern.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Every method of `saddlePoint`, by name. */
export const saddleMethods = {
  extragradient,
  optimisticGradient,
  proximalPoint,
  twoTimescaleExtragradient,
  competitiveGradient,
  competitiveGradientOptimization,
  optimisticCompetitiveGradientOptimization,
  varianceReducedHalpern,
} as const satisfies Readonly<Record<string, SaddleMethod>>

export type SaddleMethodName = keyof typeof saddleMethods

export interface SaddleOptions extends Partial<SaddleSettings>, DoorLimits<SaddleState> {
  /** Default 'extragradient'. */
  readonly method?: SaddleMethodName
}

export interface SaddleResult {
  readonly x: Float64Array
  readonly y: Float64Array
  readonly residual: number
  readonly iterations: number
  /** How often F was asked for, and how often a part of it. */
  readonly evaluations: { readonly fields: number; readonly parts: number }
  readonly status: Status
}

/**
 * Finds a point where no player of a zero-sum game gains by moving a little: min over x, max over y of f(x, y).
 *
 * @param start where to begin: x and y; y may have no elements, then `gradientX` is any field of which a zero is wanted.
 * @returns the point with the smallest F that was seen, also where a gradient has thrown or a limit was reached: `status` says which.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function saddlePoint(
  game: Game,
  start: { readonly x: Numbers; readonly y: Numbers },
  options: SaddleOptions = {},
): SaddleResult {
  const { method = 'extragradient', iterations = 100_000 } = options
  const chosen: SaddleMethod = methodNamed(saddleMethods, method)
  const z = Float64Array.of(...finiteNumbers(start.x, 'start.x'), ...finiteNumbers(start.y, 'start.y'))
  const settings: SaddleSettings = { step: 0.1, ratio: 1, tolerance: 1e-8, seed: 0, ...chosen.defaults, ...options }
  if (!(settings.step > 0)) throw new RangeError(`step: ${settings.step} is not above 0`)
  const field = new Field(game, start.x.length, start.y.length)
  const {
    best,
    iterations: done,
    status,
  } = runSolver(chosen.solve(field, z, settings), { ...options, iterations }, () => field.fields)
  const [x, y] = best ? [best.x, best.y] : field.split(z)
  return {
    x,
    y,
    residual: best?.residual ?? Infinity,
    iterations: done,
    evaluations: { fields: field.fields, parts: field.partFields },
    status,
  }
}
