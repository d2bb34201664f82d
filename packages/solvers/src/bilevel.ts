import { finiteNumbers, methodNamed } from './check.ts'
import { type DoorLimits, runSolver } from './door.ts'
import { type BilevelMethod, type BilevelProblem, type BilevelSettings, type BilevelState, Levels } from './levels.ts'
import { boRep } from './methods/bilevel/bo-rep.ts'
import { f2sa } from './methods/bilevel/f2sa.ts'
import { lvHba } from './methods/bilevel/lv-hba.ts'
import { penalty } from './methods/bilevel/penalty.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Every method of `bilevel`, by name. */
export const bilevelMethods = {
  penalty,
  f2sa,
  boRep,
  lvHba,
} as const satisfies Readonly<Record<string, BilevelMethod>>

export type BilevelMethodName = keyof typeof bilevelMethods

export interface BilevelOptions extends Partial<BilevelSettings>, DoorLimits<BilevelState> {
  /** Default 'penalty'. */
  readonly method?: BilevelMethodName
}

export interface BilevelResult {
  readonly x: Float64Array
  readonly y: Float64Array
  readonly residual: number
  readonly iterations: number
  /** How many gradients of each level were asked for. */
  readonly evaluations: { readonly upper: number; readonly lower: number }
  readonly status: Status
}

/**
 * Minimizes over x a function f(x, y) of which y is itself a minimum, of g(x, y) over y. Only gradients of the two are asked for.
 *
 * @returns the state with the smallest residual, also where a gradient has thrown or a limit was reached: `status` says which.
 * @throws RangeError for a start that is not finite, and for options that do not fit.
 */
export function bilevel(
  problem: BilevelProblem,
  start: { readonly x: Numbers; readonly y: Numbers },
  options: BilevelOptions = {},
): BilevelResult {
  const { method = 'penalty', iterations = 10_000 } = options
  const chosen: BilevelMethod = methodNamed(bilevelMethods, method)
  const from = { x: finiteNumbers(start.x, 'start.x'), y: finiteNumbers(start.y, 'start.y') }
  const settings: BilevelSettings = {
    step: 0.1,
    innerStep: 0.1,
    inner: 10,
    penalty: 10,
    growth: 1 / 3,
    momentum: 0.9,
    period: 2,
    proximal: 1,
    tolerance: 1e-6,
    ...options,
  }
  for (const name of ['step', 'innerStep', 'inner', 'penalty', 'period', 'proximal'] as const) {
    if (!(settings[name] > 0)) throw new RangeError(`${name}: ${settings[name]} is not above 0`)
  }
  const levels = new Levels(problem, from.x.length, from.y.length)
  const {
    best,
    iterations: done,
    status,
  } = runSolver(
    chosen.solve(levels, { x: levels.project(from.x), y: from.y }, settings),
    { ...options, iterations },
    () => levels.upper,
  )
  return {
    x: best?.x ?? from.x,
    y: best?.y ?? from.y,
    residual: best?.residual ?? Infinity,
    iterations: done,
    evaluations: { upper: levels.upper, lower: levels.lower },
    status,
  }
}
