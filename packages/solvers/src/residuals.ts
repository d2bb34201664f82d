import type { Bounds, Evaluations } from './objective.ts'
import type { Differences } from './problem.ts'
import type { Numbers } from './vector.ts'

/** How a residual counts, as the square of it relative to the scale: z gives rho(z). */
export type Loss = 'linear' | 'softL1' | 'huber' | 'cauchy'

/** rho(z) and its first two derivatives. */
type Robust = (z: number) => readonly [value: number, first: number, second: number]

const losses: Readonly<Record<Exclude<Loss, 'linear'>, Robust>> = {
  softL1: (z) => {
    const root = Math.sqrt(1 + z)
    return [2 * (root - 1), 1 / root, -1 / (2 * root ** 3)]
  },
  huber: (z) => (z <= 1 ? [z, 1, 0] : [2 * Math.sqrt(z) - 1, z ** -0.5, -0.5 * z ** -1.5]),
  cauchy: (z) => [Math.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2],
}

/** What `leastSquares` knows of a problem. */
export interface ResidualsOptions {
  /** Lower and upper limits; variables whose limits coincide are left where they are. */
  readonly bounds?: Bounds
  /** 'linear' (rho = z), 'softL1' (2 (√(1 + z) - 1)), 'huber' (z up to 1, 2 √z - 1 above) or 'cauchy' (ln(1 + z)). Default 'linear'. */
  readonly loss?: Loss
  /** The residual from which on the loss is softened: C in C² rho((f / C)²). Default 1. */
  readonly lossScale?: number
  /** The rows of the Jacobian of the residuals, or how finite differences find it. Default 'two-point'. */
  readonly jacobian?: Differences | ((x: Float64Array) => readonly Numbers[])
}

/** Residuals at a point, and half the sum of their losses. */
export interface Fit {
  readonly residuals: Float64Array
  readonly value: number
}

/** How many of the latest residuals are remembered. */
const kept = 4

/** What a solver leaves in the end. */
export interface Found {
  /** With the variables that do not move. */
  readonly point: Float64Array
  readonly residuals: Float64Array
  readonly jacobian: readonly Float64Array[]
}

/** A linear model of the residuals around a point, whose half square has the gradient of the value: weights of the loss are in it. */
export interface LinearModel {
  readonly columns: readonly Float64Array[]
  readonly residuals: Float64Array
  readonly gradient: Float64Array
}

/**
 * Residuals whose evaluations are counted, with their Jacobian from finite differences where it is not given. A method sees only variables
 * that can move. `evaluations.values` counts the residuals, those of differences too; `evaluations.gradients` the Jacobians.
 */
export class Residuals {
  readonly size: number
  readonly lower: Float64Array
  readonly upper: Float64Array
  #values = 0
  #jacobians = 0
  #count: number | undefined
  #best: { readonly point: Float64Array; readonly value: number; readonly residuals: Float64Array } | undefined
  /** The latest first: a method may end at a point that is only as good as the best, such as a bracket around a jump. */
  readonly #recent: { readonly point: Float64Array; readonly residuals: Float64Array }[] = []
  #last: { readonly point: Float64Array; readonly columns: readonly Float64Array[] } | undefined
  readonly #given: (x: Float64Array) => Numbers
  readonly #jacobian: Differences | ((x: Float64Array) => readonly Numbers[])
  readonly #robust: Robust | undefined
  readonly #lossScale: number
  readonly #whole: Float64Array
  /** Which of the variables can move. */
  readonly #free: readonly number[]

  /** @throws RangeError for bounds of another number, a lower bound above its upper, and a loss that is unknown or has no scale. */
  constructor(
    given: (x: Float64Array) => Numbers,
    start: Float64Array,
    { bounds, loss = 'linear', lossScale = 1, jacobian = 'two-point' }: ResidualsOptions = {},
  ) {
    if (bounds && bounds.length !== start.length) {
      throw new RangeError(`bounds: ${bounds.length} pairs were given for ${start.length} variables`)
    }
    if (loss !== 'linear' && !Object.hasOwn(losses, loss)) {
      throw new RangeError(`loss: '${loss}' is not one of linear, ${Object.keys(losses).join(', ')}`)
    }
    if (!(lossScale > 0 && lossScale < Infinity)) {
      throw new RangeError(`lossScale: ${lossScale} must be a finite number above 0`)
    }
    const pairs = Array.from(start, (_, i) => {
      const [lower, upper] = bounds?.[i] ?? [null, null]
      return [lower ?? -Infinity, upper ?? Infinity] as const
    })
    pairs.forEach(([lower, upper], i) => {
      if (!(lower <= upper)) {
        throw new RangeError(`bounds[${i}]: the lower bound ${lower} must not be above the upper bound ${upper}`)
      }
    })
    this.#whole = start.map((element, i) => Math.min(pairs[i]![1], Math.max(pairs[i]![0], element)))
    this.#free = [...pairs.keys()].filter((i) => pairs[i]![0] < pairs[i]![1])
    this.size = this.#free.length
    this.lower = Float64Array.from(this.#free, (i) => pairs[i]![0])
    this.upper = Float64Array.from(this.#free, (i) => pairs[i]![1])
    this.#given = given
    this.#jacobian = jacobian
    this.#robust = loss === 'linear' ? undefined : losses[loss]
    this.#lossScale = lossScale
  }

  /** The start, within the bounds. */
  get start(): Float64Array {
    return this.free(this.#whole)
  }

  get evaluations(): Evaluations {
    return { values: this.#values, gradients: this.#jacobians, hessianProducts: 0, hessians: 0 }
  }

  /** The point with the smallest value so far. */
  get best(): { readonly point: Float64Array; readonly value: number } | undefined {
    return this.#best
  }

  /** With the variables that do not move. */
  whole(x: Float64Array): Float64Array {
    const whole = this.#whole.slice()
    this.#free.forEach((i, place) => {
      whole[i] = x[place]!
    })
    return whole
  }

  /** Of one number for each variable, those of the variables that can move. */
  free(all: Float64Array): Float64Array {
    return Float64Array.from(this.#free, (i) => all[i]!)
  }

  /** The residuals of a point where a method has ended, or of the best one; and the rows of the Jacobian where the last one was taken there. */
  found(end: Float64Array): Found {
    const same = (point: Float64Array) => point.every((element, i) => element === end[i])
    const found = this.#recent.find(({ point }) => same(point)) ?? this.#best
    const { point = this.start, residuals = new Float64Array(0) } = found ?? {}
    const last = this.#last
    const jacobian: Float64Array[] = []
    if (last?.point.every((element, i) => element === point[i])) {
      for (let i = 0; i < residuals.length; i++) jacobian.push(Float64Array.from(last.columns, (column) => column[i]!))
    }
    return { point: this.whole(point), residuals, jacobian }
  }

  /** The residuals and the value, which is infinite where a residual is not finite. */
  at(x: Float64Array): Fit {
    this.#values++
    const residuals = Float64Array.from(this.#given(this.whole(x)))
    this.#count ??= residuals.length
    if (residuals.length !== this.#count) {
      throw new RangeError(`residuals: ${residuals.length} numbers were given, and ${this.#count} before`)
    }
    const value = this.#valueOf(residuals)
    this.#recent.unshift({ point: x.slice(), residuals })
    if (this.#recent.length > kept) this.#recent.pop()
    if (this.#best === undefined || value < this.#best.value) this.#best = { point: x.slice(), value, residuals }
    return { residuals, value }
  }

  /** Why a method cannot go on from a point where the value is not finite. */
  reason({ residuals }: Fit): string {
    const wrong = residuals.findIndex((f) => !Number.isFinite(f))
    if (wrong >= 0) return `residuals: ${residuals[wrong]} at place ${wrong} is not finite`
    return 'residuals: the sum of their squares is not finite; give them in a larger unit'
  }

  /** J and f around a point; under a loss rows of both are weighted as in B. Triggs and others (2000), Bundle Adjustment, section 4.3. */
  model(x: Float64Array, { residuals }: Fit): LinearModel {
    const jacobian = this.jacobian(x, residuals)
    this.#last = { point: x.slice(), columns: jacobian }
    const columns = this.#robust ? jacobian.map((column) => column.slice()) : jacobian
    const weighted = residuals.slice()
    if (this.#robust) {
      const c = this.#lossScale
      const scales = residuals.map((f, i) => {
        const z = (f / c) ** 2
        const [, first, second] = this.#robust!(z)
        const scale = Math.sqrt(Math.max(Number.EPSILON, first + 2 * second * z))
        weighted[i] = (f * first) / scale
        return scale
      })
      for (const column of columns) {
        for (let i = 0; i < column.length; i++) column[i]! *= scales[i]!
      }
    }
    const gradient = Float64Array.from(columns, (column) => {
      let sum = 0
      for (let i = 0; i < column.length; i++) sum += column[i]! * weighted[i]!
      return sum
    })
    return { columns, residuals: weighted, gradient }
  }

  /** The columns of the Jacobian of the residuals. */
  jacobian(x: Float64Array, residuals: Float64Array): Float64Array[] {
    this.#jacobians++
    if (typeof this.#jacobian === 'function') return this.#givenColumns(this.#jacobian(this.whole(x)), residuals.length)
    const three = this.#jacobian === 'three-point'
    return Array.from(x, (element, j) => {
      const size = Number.EPSILON ** (three ? 1 / 3 : 1 / 2) * (Math.abs(element) || 1)
      const [below, above] = [element - this.lower[j]!, this.upper[j]! - element]
      const moved = (step: number): readonly [number, Float64Array] => {
        const there = x.slice()
        there[j] = element + step
        return [there[j]! - element, this.at(there).residuals]
      }
      if (three && size <= below && size <= above) {
        const [[h, ahead], [g, behind]] = [moved(size), moved(-size)]
        return ahead.map((f, i) => (f - behind[i]!) / (h - g))
      }
      const side = (element < 0 ? size <= below || above < below : size > above && above <= below) ? -1 : 1
      const room = side < 0 ? below : above
      if (!three) {
        const [h, ahead] = moved(side * Math.min(size, room))
        return ahead.map((f, i) => (f - residuals[i]!) / h)
      }
      // Next to a bound both points lie on one side: the parabola through them and the point.
      const [[h, near], [k, far]] = [moved(side * Math.min(size, room / 2)), moved(side * Math.min(2 * size, room))]
      return near.map((f, i) => {
        const [a, b] = [(f - residuals[i]!) / h, (far[i]! - residuals[i]!) / k]
        return (a * k - b * h) / (k - h)
      })
    })
  }

  #givenColumns(rows: readonly Numbers[], count: number): Float64Array[] {
    const all = this.#whole.length
    if (rows.length !== count) throw new RangeError(`jacobian: ${rows.length} rows were given for ${count} residuals`)
    for (const [i, row] of rows.entries()) {
      if (row.length !== all) {
        throw new RangeError(`jacobian[${i}]: ${row.length} numbers were given for ${all} variables`)
      }
    }
    return this.#free.map((j) => {
      const column = new Float64Array(count)
      for (let i = 0; i < count; i++) column[i] = rows[i]![j]!
      return column
    })
  }

  #valueOf(residuals: Float64Array): number {
    let sum = 0
    if (this.#robust) {
      for (const f of residuals) sum += this.#robust((f / this.#lossScale) ** 2)[0] * this.#lossScale ** 2
    } else for (const f of residuals) sum += f * f
    return Number.isNaN(sum) ? Infinity : sum / 2
  }
}
