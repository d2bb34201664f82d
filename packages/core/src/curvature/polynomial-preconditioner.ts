import { randomNumber } from '../graph/philox.ts'
import { checkCounts, checkOption } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'
import type { Evaluate, StepResult } from '../run/step.ts'
import { changingGradients, joinedSize } from './joined-parameters.ts'
import { krylov, type SymmetricProduct } from './lanczos.ts'
import { dot, moved, norm, scaled, subtract } from './linear-algebra.ts'

export interface PolynomialPreconditionerOptions {
  /** τ, how many products with the curvature matrix a step takes; default 1. */
  readonly degree?: number
  /** `symmetric` (default): the same polynomial in every step; `krylov`: the best for the gradient at hand. */
  readonly polynomial?: 'symmetric' | 'krylov'
  /** tr B, tr B², up to tr Bᵗ for degree τ, where they are known; default: measured at the first step. */
  readonly traces?: readonly number[]
  /** Random vectors to measure traces with; default none: exactly, with a unit vector for each parameter. */
  readonly probes?: number
  /** Chooses the random vectors; default 0. */
  readonly seed?: number
}

/**
 * Polynomial preconditioning: the gradient is multiplied by a polynomial of a curvature matrix B, which makes the large gaps between
 * its highest eigenvalues small, without knowing them. Any optimizer takes the step: gradient descent and Nesterov's as in the paper.
 *
 * ```text
 * σᵢ: elementary symmetric polynomials of the eigenvalues λ of B, from tr B, tr B², ... by Newton's identities; σ₀ = 1
 * P₀ = I;   Pᵢ = σᵢ I - B Pᵢ₋₁                     eigenvalues: σᵢ of all λ but one
 * symmetric:  g ← Pτ g / στ                         degree 1: (I - B / tr B) g
 * krylov:     g ← argmin over d in span(g, B g, .., Bᵗ g) of ½ ⟨B d, d⟩ - ⟨g, d⟩,   t = τ
 * θ ← optimizer(θ, g)
 * ```
 *
 * ```ts
 * import { compile, polynomialPreconditioner, sgd } from 'fallline'
 *
 * const curvatures = [100, 1, 1]
 * const base = await compile(sgd({ learningRate: 0.5 }), { x: [3] })
 * const optimizer = polynomialPreconditioner(base, { degree: 1 })
 * base.parameters.x.fill(1)
 * for (let step = 0; step < 30; step++) {
 *   await optimizer.minimize(
 *     ({ parameters, gradients }) => gradients.x.set(parameters.x.map((value, i) => value * (curvatures[i] ?? 0))),
 *     (vector) => vector.map((value, i) => value * (curvatures[i] ?? 0)),
 *   )
 * }
 * console.log(Math.max(...base.parameters.x.map(Math.abs)) < 1e-6) // true
 * ```
 *
 * B is symmetric, has no negative eigenvalues, and bounds the Hessian from below and above by multiples: Xᵀ X of the data for linear
 * models, with the gradient of the loss itself. The paper's preconditioner is Pτ; divided by στ its eigenvalues are from 0 to 1, near 1
 * where B is flat, so that learning rates stay what they were there. Pτ = 1/τ Σ (-1)ⁱ⁻¹ Pτ₋ᵢ (tr Bⁱ I - Bⁱ), as the paper has it, is the
 * same polynomial. Measured exactly, traces cost n τ products, once; with few probes they are rough, and then so is the polynomial. A
 * degree above the rank of B less one has no polynomial. With `krylov` the learning rate is 1 / L where ∇²L(θ) is at most L B.
 *
 * Beyond its abstract the paper could not be read here, nor was code of the authors found: the recursion is from memory, and `krylov`, the
 * adaptive choice for the gradient method, was put together from the abstract and the optimality of such a step.
 *
 * Doikov, Rodomanov 2023, Polynomial Preconditioning for Gradient Methods, arXiv 2301.13194.
 *
 * @throws Error when an option is unknown or out of range, or the optimizer evaluates the model at points of its own.
 */
export function polynomialPreconditioner<Name extends string>(
  base: CompiledOptimizer<Name>,
  options: PolynomialPreconditionerOptions = {},
): PolynomialPreconditioner<Name> {
  return new PolynomialPreconditioner(base, options)
}

/** A compiled optimizer with preconditioned gradients. Made by `polynomialPreconditioner`. */
export class PolynomialPreconditioner<Name extends string = string> {
  readonly base: CompiledOptimizer<Name>
  private readonly options: Required<Omit<PolynomialPreconditionerOptions, 'traces'>>
  private readonly size: number
  /** στ₋₁ / στ, .., σ₀ / σ₁, from the last to the first; once traces are known. */
  private ratios: readonly number[] | undefined

  /** @internal use `polynomialPreconditioner` */
  constructor(base: CompiledOptimizer<Name>, options: PolynomialPreconditionerOptions) {
    const caller = 'polynomialPreconditioner'
    checkNames(caller, options, ['degree', 'polynomial', 'traces', 'probes', 'seed'])
    const { degree = 1, polynomial = 'symmetric', traces, probes = 0, seed = 0 } = options
    checkCounts(caller, { degree })
    checkOption(caller, 'probes', probes, Number.isInteger(probes) && probes >= 0, 'a whole number from 0 up')
    const known = ['symmetric', 'krylov']
    checkOption(caller, 'polynomial', polynomial, known.includes(polynomial), `one of ${known.join(', ')}`)
    if (base.moves) throw new Error(`${caller}: the optimizer evaluates the model at points of its own; take another`)
    this.base = base
    this.size = joinedSize(base.parameters)
    checkOption(
      caller,
      'degree',
      degree,
      degree < Math.max(2, this.size),
      `below the number of parameters, ${this.size}`,
    )
    this.options = { degree, polynomial, probes, seed }
    if (traces) {
      checkOption(caller, 'traces', traces, traces.length === degree, `${degree} numbers`)
      this.ratios = ratiosOf(traces)
    }
  }

  /**
   * One step. `evaluate` is that of the optimizer's `minimize`; the gradients that it writes are preconditioned afterwards.
   * @param product B times a vector of all parameters behind one another, in the order of `base.names`.
   * @throws Error as `minimize` does, when a product has another length or is not finite, or when the traces have no polynomial of
   * this degree; parameters and state are untouched then.
   */
  async minimize(evaluate: Evaluate<Name>, product: SymmetricProduct): Promise<StepResult<Name>> {
    const { base, options } = this
    if (options.polynomial === 'symmetric' && !this.ratios) {
      this.ratios = ratiosOf(await base.exclusively('polynomialPreconditioner', () => this.measure(product)))
    }
    const preconditioned = changingGradients(base.names, evaluate, (gradient) => {
      // What is not finite is the optimizer's to judge.
      if (!gradient.every(Number.isFinite)) return gradient
      return options.polynomial === 'krylov' ? this.best(gradient, product) : this.multiplied(gradient, product)
    })
    return base.minimize(preconditioned)
  }

  /** Pτ g / στ: P̄ᵢ = I - (σᵢ₋₁ / σᵢ) B P̄ᵢ₋₁. */
  private async multiplied(gradient: Float64Array, product: SymmetricProduct): Promise<Float64Array> {
    let result = gradient
    for (const ratio of this.ratios!) result = moved(gradient, -ratio, await this.times(product, result))
    return result
  }

  /** The minimum over the Krylov space, ‖g‖ V T⁻¹ e₁ with the orthonormal vectors V of Lanczos and T = Vᵀ B V. */
  private async best(gradient: Float64Array, product: SymmetricProduct): Promise<Float64Array> {
    const length = norm(gradient)
    if (length === 0) return gradient
    const start = scaled(gradient, 1 / length)
    const { basis, values, vectors } = await krylov(
      'polynomialPreconditioner',
      product,
      start,
      this.options.degree + 1,
      () => false,
    )
    const result = new Float64Array(gradient.length)
    const most = Math.max(...values.map(Math.abs))
    values.forEach((value, k) => {
      // Along what has no curvature there is no minimum: as far as the gradient.
      const factor = value > 1e-12 * most ? length / value : length
      basis.forEach((each, j) => {
        subtract(result, -factor * vectors[k]![0]! * vectors[k]![j]!, each)
      })
    })
    return result
  }

  private async measure(product: SymmetricProduct): Promise<number[]> {
    const { degree, probes, seed } = this.options
    const count = probes || this.size
    const traces = new Array<number>(degree).fill(0)
    for (let probe = 0; probe < count; probe++) {
      const stream = { seed, step: 0, tensor: probe, draw: 0 }
      const start = Float64Array.from({ length: this.size }, (_, i) =>
        probes ? (randomNumber('uniform', stream, i) < 0.5 ? -1 : 1) : Number(i === probe),
      )
      let image: Float64Array = start
      for (let power = 0; power < degree; power++) {
        image = await this.times(product, image)
        traces[power]! += dot(start, image) / (probes || 1)
      }
    }
    return traces
  }

  private async times(product: SymmetricProduct, vector: Float64Array): Promise<Float64Array> {
    const image = Float64Array.from(await product(vector))
    if (image.length === this.size && image.every(Number.isFinite)) return image
    throw new Error(
      `polynomialPreconditioner: a product must be ${this.size} finite numbers, not ${image.length} like ${image[0]}`,
    )
  }
}

/** σᵢ₋₁ / σᵢ for i = 1 .. τ, by Newton's identities. */
function ratiosOf(traces: readonly number[]): number[] {
  const sigma = [1]
  traces.forEach((_, k) => {
    let sum = 0
    for (let i = 0; i <= k; i++) sum += (i % 2 === 0 ? 1 : -1) * sigma[k - i]! * traces[i]!
    sigma.push(sum / (k + 1))
  })
  return traces.map((_, i) => {
    const ratio = sigma[i]! / sigma[i + 1]!
    if (ratio > 0 && Number.isFinite(ratio)) return ratio
    throw new Error(
      `polynomialPreconditioner: with traces ${traces.join(', ')} the polynomial of degree ${i + 1} vanishes; take a lower degree`,
    )
  })
}
