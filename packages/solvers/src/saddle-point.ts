import { type DoorLimits, runSolver } from './door.ts'
import { competitiveGradient } from './methods/saddle-point/competitive-gradient.ts'
import { competitiveGradientOptimization } from './methods/saddle-point/competitive-gradient-optimization.ts'
import { extragradient } from './methods/saddle-point/extragradient.ts'
import { optimisticCompetitiveGradientOptimization } from './methods/saddle-point/optimistic-competitive-gradient-optimization.ts'
import { optimisticGradient } from './methods/saddle-point/optimistic-gradient.ts'
import { proximalPoint } from './methods/saddle-point/proximal-point.ts'
import { twoTimescaleExtragradient } from './methods/saddle-point/two-timescale-extragradient.ts'
import { varianceReducedHalpern } from './methods/saddle-point/variance-reduced-halpern.ts'
import type { Status } from './state.ts'
import { maximumNorm, type Numbers, norm } from './vector.ts'

/** min over x, max over y of f(x, y), by its gradients; or any field F of which a zero is wanted, where y has no elements. */
export interface Game {
  /** ∂f/∂x. */
  gradientX(x: Float64Array, y: Float64Array): Numbers
  /** ∂f/∂y: y climbs along it. Not asked where y has no elements. */
  gradientY?(x: Float64Array, y: Float64Array): Numbers
  /** F as a mean of `count` parts, part by part (∂f/∂x, then -∂f/∂y), for methods that draw them. */
  readonly parts?: { readonly count: number; field(x: Float64Array, y: Float64Array, part: number): Numbers }
}

/** What the methods of `saddlePoint` are told. */
export interface SaddleSettings {
  /** Step size η. Default 0.1. */
  readonly step: number
  /** How many times smaller the step of x is than that of y, or for competitive methods the weight α of interaction over the step. */
  readonly ratio: number
  /** Largest absolute element of F. Default 1e-8. */
  readonly tolerance: number
  /** Parts drawn for each estimate of F. Default: the square root of their number. */
  readonly batch?: number
  readonly seed: number
}

/** Where a method of `saddlePoint` is. */
export interface SaddleState {
  readonly x: Float64Array
  readonly y: Float64Array
  /** Largest absolute element of F at this point. */
  readonly residual: number
}

/** F(x, y) = (∂f/∂x, -∂f/∂y) over one vector z = (x, y), counted. */
export class Field {
  fields = 0
  partFields = 0

  constructor(
    readonly game: Game,
    readonly sizeX: number,
    readonly sizeY: number,
  ) {
    if (sizeY > 0 && !game.gradientY) throw new RangeError(`gradientY: it is missing, and y has ${sizeY} elements`)
  }

  at(z: Float64Array): Float64Array {
    this.fields++
    const [x, y] = this.split(z)
    const field = new Float64Array(z.length)
    field.set(this.#checked('gradientX', this.game.gradientX(x, y), this.sizeX))
    if (this.sizeY > 0) {
      const climb = this.#checked('gradientY', this.game.gradientY!(x, y), this.sizeY)
      for (let j = 0; j < this.sizeY; j++) field[this.sizeX + j] = -climb[j]!
    }
    return field
  }

  /** One of the parts that F is the mean of. */
  part(z: Float64Array, index: number): Float64Array {
    this.partFields++
    return Float64Array.from(this.#checked('parts.field', this.game.parts!.field(...this.split(z), index), z.length))
  }

  /** DF(z) d, from two values of F. */
  along(z: Float64Array, d: Float64Array, at: Float64Array): Float64Array {
    const length = norm(d)
    if (length === 0) return new Float64Array(z.length)
    const h = (Math.sqrt(Number.EPSILON) * (1 + norm(z))) / length
    const moved = this.at(z.map((element, i) => element + h * d[i]!))
    return moved.map((element, i) => (element - at[i]!) / h)
  }

  split(z: Float64Array): [x: Float64Array, y: Float64Array] {
    return [z.slice(0, this.sizeX), z.slice(this.sizeX)]
  }

  state(z: Float64Array, field: Float64Array): SaddleState {
    const [x, y] = this.split(z)
    return { x, y, residual: maximumNorm(field) }
  }

  #checked(name: string, given: Numbers, size: number): Numbers {
    if (given.length !== size) throw new RangeError(`${name}: ${given.length} numbers were given for ${size} variables`)
    return given
  }
}

/** A method of `saddlePoint`: begins at z = (x, y), and gives a state for it and after each iteration. */
export interface SaddleMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly defaults?: Partial<SaddleSettings>
  readonly solve: (field: Field, start: Float64Array, settings: SaddleSettings) => Generator<SaddleState, Status, void>
}

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
  const chosen: SaddleMethod | undefined = saddleMethods[method]
  if (!chosen) throw new RangeError(`method: '${method}' is not one of ${Object.keys(saddleMethods).join(', ')}`)
  const z = Float64Array.of(...start.x, ...start.y)
  const wrong = z.findIndex((element) => !Number.isFinite(element))
  if (wrong >= 0) {
    const place = wrong < start.x.length ? `x[${wrong}]` : `y[${wrong - start.x.length}]`
    throw new RangeError(`start.${place}: ${z[wrong]} is not a finite number`)
  }
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
