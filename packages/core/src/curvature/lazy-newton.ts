import { checkCounts, checkOption } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { Evaluate } from '../run/step.ts'
import { JoinedParameters, type ParameterArrays } from './joined-parameters.ts'
import type { SymmetricProduct } from './lanczos.ts'
import { dot, moved, norm, symmetricEigen } from './linear-algebra.ts'

export interface LazyNewtonOptions {
  /** What keeps a step short: `cubic` (default) for any loss, `quadratic` for convex ones. */
  readonly regularization?: 'cubic' | 'quadratic'
  /** M, see {@link lazyNewton}; default 1. */
  readonly strength?: number
  /** Steps that use one Hessian, m; default the number of parameters. */
  readonly period?: number
}

export interface LazyNewtonResult {
  /** The loss where the step began. */
  readonly loss: number
  /** The smallest eigenvalue of the Hessian in use. */
  readonly smallestCurvature: number
}

interface Spectrum {
  readonly values: readonly number[]
  readonly vectors: readonly (readonly number[])[]
}

/**
 * Newton's method with lazy Hessians: the Hessian H of every m-th step serves m steps, the gradient g is always new.
 *
 * ```text
 * every m-th step:  H ← ∇²L(θ)
 * cubic:      θ ← θ + argmin over h of ⟨g, h⟩ + ½ ⟨H h, h⟩ + M/6 ‖h‖³
 * quadratic:  θ ← θ - (H + √(M ‖g‖) I)⁻¹ g
 * ```
 *
 * ```ts
 * import { lazyNewton } from 'fallline'
 *
 * // x⁴ - x², which has a maximum at 0.
 * const optimizer = lazyNewton({ x: new Float64Array([0.01]) }, { strength: 24 })
 * for (let step = 0; step < 30; step++) {
 *   const at = optimizer.parameters.x[0] ?? 0
 *   await optimizer.minimize(
 *     ({ parameters: { x: [x = 0] }, gradients }) => {
 *       gradients.x[0] = 4 * x ** 3 - 2 * x
 *       return x ** 4 - x ** 2
 *     },
 *     (vector) => vector.map((value) => (12 * at ** 2 - 2) * value),
 *   )
 * }
 * console.log((optimizer.parameters.x[0] ?? 0).toFixed(3)) // 0.707
 * ```
 *
 * The Hessian is made from a product with each unit vector, n of them, and kept with its eigenvectors: n² numbers and about 10 n³
 * operations each m-th step, n² at each. With m = n, the default, the two costs are alike, which the paper finds best. The cubic step
 * is the global minimum of its model, also where the Hessian has negative eigenvalues; the quadratic one is for convex losses.
 *
 * With a Hessian that is Lipschitz with constant L the theory asks for M in proportion to m L: 6 m L for cubic, 3 m L for quadratic
 * regularization. These two factors, and the form √(M ‖g‖), are from memory of the paper, whose text could not be read here. Its
 * method that finds M by itself is not here for the same reason. No code of the authors was found.
 *
 * Doikov, Chayti, Jaggi 2022, Second-order optimization with lazy Hessians, arXiv 2212.00781.
 *
 * @throws Error when an option is unknown or out of range, or the parameters are not arrays of floating-point numbers.
 */
export function lazyNewton<Name extends string>(
  parameters: ParameterArrays<Name>,
  options: LazyNewtonOptions = {},
): LazyNewton<Name> {
  return new LazyNewton(parameters, options)
}

/** Parameters that Newton's method with lazy Hessians moves. Made by `lazyNewton`. */
export class LazyNewton<Name extends string = string> {
  private readonly joined: JoinedParameters<Name>
  private readonly options: Required<LazyNewtonOptions>
  private hessian: Spectrum | undefined
  private steps = 0

  /** @internal use `lazyNewton` */
  constructor(parameters: ParameterArrays<Name>, options: LazyNewtonOptions) {
    checkNames('lazyNewton', options, ['regularization', 'strength', 'period'])
    this.joined = new JoinedParameters('lazyNewton', parameters)
    const { regularization = 'cubic', strength = 1, period = Math.max(1, this.joined.size) } = options
    const known = ['cubic', 'quadratic']
    checkOption(
      'lazyNewton',
      'regularization',
      regularization,
      known.includes(regularization),
      `one of ${known.join(', ')}`,
    )
    checkOption('lazyNewton', 'strength', strength, strength > 0 && Number.isFinite(strength), 'a number above 0')
    checkCounts('lazyNewton', { period })
    this.options = { regularization, strength, period }
  }

  /** The parameters, in the arrays that were given. */
  get parameters(): ParameterArrays<Name> {
    return this.joined.parameters
  }

  /**
   * One step. `evaluate` finds the point in `parameters`, writes `gradients`, and returns the loss: the function that a compiled
   * optimizer's `minimize` takes.
   * @param product the Hessian where the parameters stand, times a vector of all parameters behind one another. It is asked for in
   * every `period`-th step, once for every parameter.
   * @throws Error when one of them throws or gives numbers that are not finite, or when the quadratic model has no minimum;
   * parameters and Hessian are as they were then.
   */
  async minimize(evaluate: Evaluate<Name>, product: SymmetricProduct): Promise<LazyNewtonResult> {
    return this.joined.step(evaluate, async (start, model) => {
      const { regularization, strength, period } = this.options
      const { loss, gradient } = await model.startAt(start)
      const fresh = this.steps % period === 0 ? undefined : this.hessian
      const hessian = fresh ?? (await spectrumOf(product, start.length))
      const step = regularization === 'cubic' ? cubic : quadratic
      this.joined.write(moved(start, 1, step(hessian, gradient, strength)))
      this.hessian = hessian
      this.steps++
      return { loss, smallestCurvature: hessian.values[0] ?? 0 }
    })
  }
}

async function spectrumOf(product: SymmetricProduct, size: number): Promise<Spectrum> {
  const columns: number[][] = []
  for (let i = 0; i < size; i++) {
    const unit = new Float64Array(size)
    unit[i] = 1
    const image = Array.from(await product(unit))
    if (image.length !== size) throw new Error(`lazyNewton: a product has ${image.length} numbers, not ${size}`)
    if (!image.every(Number.isFinite)) throw new Error(`lazyNewton: product ${i + 1} is not finite`)
    columns.push(image)
  }
  return symmetricEigen(columns.map((column, i) => column.map((value, j) => (value + columns[j]![i]!) / 2)))
}

/** -(H + λ I)⁻¹ g, in the basis of the eigenvectors. */
function shifted({ values }: Spectrum, g: readonly number[], lambda: number): number[] {
  return g.map((value, i) => (value === 0 ? 0 : -value / (values[i]! + lambda)))
}

function combined({ vectors }: Spectrum, coordinates: readonly number[]): Float64Array {
  const result = new Float64Array(coordinates.length)
  vectors.forEach((vector, k) => {
    for (let i = 0; i < result.length; i++) result[i]! += coordinates[k]! * vector[i]!
  })
  return result
}

function quadratic(hessian: Spectrum, gradient: Float64Array, strength: number): Float64Array {
  const length = norm(gradient)
  const lambda = Math.sqrt(strength * length)
  const smallest = hessian.values[0] ?? 0
  if (length > 0 && !(smallest + lambda > 0)) {
    throw new Error(
      `lazyNewton: the Hessian has the eigenvalue ${smallest}, so the quadratic model has no minimum; use regularization: 'cubic'`,
    )
  }
  return combined(
    hessian,
    shifted(
      hessian,
      hessian.vectors.map((vector) => dot(vector, gradient)),
      lambda,
    ),
  )
}

/**
 * The minimum of the cubic model: h = -(H + M r / 2 I)⁻¹ g with r = ‖h‖ and nothing negative in the brackets. The norm falls and r
 * grows, so there is one such r, found by halving an interval.
 */
function cubic(hessian: Spectrum, gradient: Float64Array, strength: number): Float64Array {
  const g = hessian.vectors.map((vector) => dot(vector, gradient))
  const smallest = hessian.values[0] ?? 0
  const least = Math.max(0, (-2 * smallest) / strength)
  const at = (r: number) => shifted(hessian, g, (strength * r) / 2)
  // ‖h‖ is at most ‖g‖ / (M (r - least) / 2), which is r - least or less here.
  let [low, high] = [least, least + Math.sqrt((2 * norm(gradient)) / strength)]
  for (let halving = 0; halving < 200; halving++) {
    const middle = (low + high) / 2
    if (middle === low || middle === high) break
    if (norm(at(middle)) > middle) low = middle
    else high = middle
  }
  const h = at(high)
  const missing = high ** 2 - dot(h, h)
  // Where the gradient has nothing along the most negative curvature, the model is as low on both sides of it.
  if (smallest < 0 && missing > 1e-12 * high ** 2) h[0] = (h[0]! < 0 ? -1 : 1) * Math.sqrt(h[0]! ** 2 + missing)
  return combined(hessian, h)
}
