import type { Bounds, Constraint, Evaluations, Objective } from './objective.ts'
import { dot, type Numbers, norm } from './vector.ts'

/** Two-point: one more value for each variable; three-point: two, and an error of the square of the step. */
export type Differences = 'two-point' | 'three-point'

export interface ProblemOptions {
  readonly bounds?: Bounds
  /** How derivatives that the objective lacks are found. Default 'two-point'. */
  readonly differences?: Differences
  readonly constraints?: readonly Constraint[]
}

/** What constraints say at a point: first those that have to be zero, then those that have to be at least zero. */
export interface Constrained {
  readonly values: Float64Array
  /** How many of the values have to be zero. */
  readonly equalities: number
}

const epsilon = Number.EPSILON

/** Relative steps of finite differences, as in SciPy: the error of rounding and of truncation are alike there. */
const relativeSteps: Readonly<Record<Differences, number>> = {
  'two-point': epsilon ** (1 / 2),
  'three-point': epsilon ** (1 / 3),
}

/**
 * An objective whose evaluations are counted, with the derivatives that it lacks from finite differences. The point it is asked at is a
 * copy, so that nobody changes it; the best point that was ever asked for is remembered.
 */
export class Problem {
  readonly lower: Float64Array | null
  readonly upper: Float64Array | null
  #values = 0
  #gradients = 0
  #hessianProducts = 0
  #hessians = 0
  #constraints = 0
  #best: { readonly point: Float64Array; readonly value: number } | undefined
  readonly #objective: Objective
  readonly #differences: Differences
  readonly #equalities: readonly Constraint[]
  readonly #inequalities: readonly Constraint[]

  /** @throws RangeError for bounds of another number, or a lower bound above its upper. */
  constructor(
    given: ((x: Float64Array) => number) | Objective,
    readonly size: number,
    { bounds, differences = 'two-point', constraints = [] }: ProblemOptions = {},
  ) {
    this.#objective = typeof given === 'function' ? { value: given } : given
    this.#differences = differences
    this.#equalities = constraints.filter(({ kind }) => kind === 'equality')
    this.#inequalities = constraints.filter(({ kind }) => kind === 'inequality')
    if (this.#equalities.length + this.#inequalities.length < constraints.length) {
      throw new RangeError(`constraints: the kind of each must be 'equality' or 'inequality'`)
    }
    if (bounds && bounds.length !== size) {
      throw new RangeError(`bounds: ${bounds.length} pairs were given for ${size} variables`)
    }
    bounds?.forEach(([lower, upper], index) => {
      if (lower !== null && upper !== null && !(lower <= upper)) {
        throw new RangeError(`bounds[${index}]: the lower bound ${lower} must not be above the upper bound ${upper}`)
      }
    })
    this.lower = bounds ? Float64Array.from(bounds, ([lower]) => lower ?? -Infinity) : null
    this.upper = bounds ? Float64Array.from(bounds, ([, upper]) => upper ?? Infinity) : null
  }

  get evaluations(): Evaluations {
    return {
      values: this.#values,
      gradients: this.#gradients,
      hessianProducts: this.#hessianProducts,
      hessians: this.#hessians,
      ...(this.hasConstraints ? { constraints: this.#constraints } : {}),
    }
  }

  /** The point with the smallest value so far. */
  get best(): { readonly point: Float64Array; readonly value: number } | undefined {
    return this.#best
  }

  get hasGradient(): boolean {
    return this.#objective.gradient !== undefined
  }

  get hasConstraints(): boolean {
    return this.#equalities.length + this.#inequalities.length > 0
  }

  /** The constraints' values; minus infinity, which hurts both kinds, where one says NaN. */
  constraints(x: Float64Array): Constrained {
    if (!this.hasConstraints) return { values: new Float64Array(0), equalities: 0 }
    this.#constraints++
    const given = [this.#equalities, this.#inequalities].map((constraints) =>
      constraints.flatMap((constraint) => listed(constraint.value(x.slice()))),
    )
    const values = Float64Array.from(given.flat(), (value) => (Number.isNaN(value) ? -Infinity : value))
    return { values, equalities: given[0]!.length }
  }

  /** The rows of the constraints' Jacobian matrix, in the order of their values. */
  constraintJacobian(x: Float64Array): Float64Array[] {
    return [...this.#equalities, ...this.#inequalities].flatMap((constraint) => {
      if (constraint.jacobian) {
        const given = constraint.jacobian(x.slice())
        const rows = typeof given[0] === 'number' || given.length === 0 ? [given as Numbers] : (given as Numbers[])
        return rows.map((row) => this.#checked('jacobian', row))
      }
      this.#constraints++
      const here = listed(constraint.value(x.slice()))
      const rows = here.map(() => new Float64Array(this.size))
      for (let i = 0; i < this.size; i++) {
        const moved = x.slice()
        moved[i]! += this.#stepAt(x, i)
        this.#constraints++
        listed(constraint.value(moved.slice())).forEach((ahead, k) => {
          rows[k]![i] = (ahead - here[k]!) / (moved[i]! - x[i]!)
        })
      }
      return rows
    })
  }

  /** The value; infinite where the objective says NaN, so that a line search comes back. */
  value(x: Float64Array): number {
    this.#values++
    const given = Number(this.#objective.value(x.slice()))
    const value = Number.isNaN(given) ? Infinity : given
    if (this.#best === undefined || value < this.#best.value) this.#best = { point: x.slice(), value }
    return value
  }

  /** @param value the value there, where it is known: two-point differences take it. */
  gradient(x: Float64Array, value?: number): Float64Array {
    this.#gradients++
    if (this.#objective.gradient) return this.#checked('gradient', this.#objective.gradient(x.slice()))
    const gradient = new Float64Array(this.size)
    const here = this.#differences === 'two-point' ? (value ?? this.value(x)) : 0
    const moved = x.slice()
    for (let i = 0; i < this.size; i++) {
      const step = this.#stepAt(x, i)
      moved[i] = x[i]! + step
      const ahead = this.value(moved)
      if (this.#differences === 'two-point') gradient[i] = (ahead - here) / (moved[i]! - x[i]!)
      else {
        const far = moved[i]!
        const around = this.#fits(x[i]! - step, i)
        moved[i] = around ? x[i]! - step : x[i]! + step / 2
        const other = this.value(moved)
        if (around) gradient[i] = (ahead - other) / (far - moved[i]!)
        else {
          // At a bound both lie on one side.
          gradient[i] = (4 * other - ahead - 3 * (value ?? this.value(x))) / (2 * (moved[i]! - x[i]!))
        }
      }
      moved[i] = x[i]!
    }
    return gradient
  }

  /** H(x) d: of the objective, or from two gradients. */
  hessianProduct(x: Float64Array, direction: Float64Array, gradient: Float64Array): Float64Array {
    this.#hessianProducts++
    if (this.#objective.hessianProduct) {
      return this.#checked('hessianProduct', this.#objective.hessianProduct(x.slice(), direction.slice()))
    }
    if (this.#objective.hessian) {
      const rows = this.#objective.hessian(x.slice())
      return Float64Array.from(rows, (row) => dot(Float64Array.from(row), direction))
    }
    const length = norm(direction)
    if (length === 0) return new Float64Array(this.size)
    const step = (relativeSteps['two-point'] * (1 + norm(x))) / length
    const moved = this.gradient(x.map((element, i) => element + step * direction[i]!))
    return moved.map((element, i) => (element - gradient[i]!) / step)
  }

  /** The rows of H(x): of the objective, or from gradients along the axes, made symmetric. */
  hessian(x: Float64Array, gradient: Float64Array): Float64Array[] {
    this.#hessians++
    if (this.#objective.hessian) {
      return this.#objective.hessian(x.slice()).map((row) => this.#checked('hessian', row))
    }
    const rows = Array.from({ length: this.size }, (_, i) => {
      const axis = new Float64Array(this.size)
      axis[i] = 1
      return this.hessianProduct(x, axis, gradient)
    })
    return rows.map((row, i) => row.map((element, j) => (element + rows[j]![i]!) / 2))
  }

  /** The nearest point within the bounds, or that `project` of the objective gives. */
  project(x: Float64Array): Float64Array {
    const projected = this.#objective.project ? this.#checked('project', this.#objective.project(x.slice())) : x.slice()
    return this.within(projected)
  }

  /** The nearest point within the bounds; x itself where there are none. */
  within(x: Float64Array): Float64Array {
    const { lower, upper } = this
    if (!lower || !upper) return x
    const inside = new Float64Array(x.length)
    for (let i = 0; i < x.length; i++) inside[i] = Math.min(upper[i]!, Math.max(lower[i]!, x[i]!))
    return inside
  }

  /** The proximal point of the objective's second part; the point itself where it has none. */
  prox(x: Float64Array, step: number): Float64Array {
    return this.#objective.prox ? this.#checked('prox', this.#objective.prox(x.slice(), step)) : x.slice()
  }

  #checked(name: string, given: Numbers): Float64Array {
    if (given.length !== this.size) {
      throw new RangeError(`${name}: ${given.length} numbers were given for ${this.size} variables`)
    }
    // Without going through an iterator, which takes long for many variables.
    return new Float64Array(given)
  }

  #stepAt(x: Float64Array, index: number): number {
    const size = relativeSteps[this.#differences] * Math.max(1, Math.abs(x[index]!))
    const step = x[index]! < 0 ? -size : size
    return this.#fits(x[index]! + step, index) ? step : -step
  }

  #fits(element: number, index: number): boolean {
    return !(element < (this.lower?.[index] ?? -Infinity)) && !(element > (this.upper?.[index] ?? Infinity))
  }
}

function listed(given: number | Numbers): number[] {
  return typeof given === 'number' ? [given] : [...given]
}

/** By how much the constraint that is hurt most is hurt. */
export function violation({ values, equalities }: Constrained): number {
  let largest = 0
  values.forEach((value, k) => {
    largest = Math.max(largest, k < equalities ? Math.abs(value) : -value)
  })
  return largest
}
