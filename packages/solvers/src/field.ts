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
