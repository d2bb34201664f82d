import { checkCounts } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'
import { joinedSize } from './joined-parameters.ts'
import { lanczos, type Spectrum, type SymmetricProduct } from './lanczos.ts'

/** What the ends of the spectrum say that gradient descent with momentum should do. */
export interface SpectralRates {
  readonly learningRate: number
  readonly momentum: number
}

export interface LanczosLearnerOptions {
  /** Steps from one measurement to the next; default 100. */
  readonly period?: number
  /** Products with the Hessian for a measurement, at most; default 20. */
  readonly products?: number
  /** What the learning rate is of the best one, above 0 and at most 1; default 1. */
  readonly share?: number
  /** The largest momentum, from 0 to below 1; default 0.95. */
  readonly largestMomentum?: number
  /** Chooses the random starts; default 0. */
  readonly seed?: number
}

/**
 * Learning rate and momentum for a loss whose curvatures lie between those of a spectrum: the best of heavy-ball momentum.
 *
 * ```text
 * √β = (√λ₁ − √λₙ) / (√λ₁ + √λₙ), at most √largestMomentum;   η = (1 + √β)² / λ₁
 * ```
 *
 * λₙ is the smallest positive curvature that was found. On a quadratic every step then shortens the way by √β (Polyak 1964, Some methods
 * of speeding up the convergence of iteration methods). Without momentum η is 1 / λ₁, half of what still is stable.
 *
 * @throws Error when no curvature is positive, or `largestMomentum` is out of range.
 */
export function spectralRates(
  { largest, values }: Pick<Spectrum, 'largest' | 'values'>,
  { largestMomentum = 0.95 }: { readonly largestMomentum?: number } = {},
): SpectralRates {
  checkMomentum('spectralRates', largestMomentum)
  if (!(largest > 0 && largest < Number.POSITIVE_INFINITY)) {
    throw new Error(`spectralRates: the largest curvature must be a number above 0, not ${String(largest)}`)
  }
  const smallest = Math.min(largest, ...values.filter((value) => value > 1e-12 * largest))
  const root = (Math.sqrt(largest) - Math.sqrt(smallest)) / (Math.sqrt(largest) + Math.sqrt(smallest))
  const limited = Math.min(root, Math.sqrt(largestMomentum))
  return { learningRate: (1 + limited) ** 2 / largest, momentum: limited ** 2 }
}

function checkMomentum(caller: string, largestMomentum: number): void {
  if (!(largestMomentum >= 0 && largestMomentum < 1)) {
    throw new Error(`${caller}: largestMomentum must be a number from 0 to below 1, not ${String(largestMomentum)}`)
  }
}

/** The largest eigenvalue of the Hessian of a batch of some size. */
export interface BatchCurvature {
  readonly batchSize: number
  readonly largest: number
}

/**
 * The critical batch size, from the largest curvature of batches of at least two sizes: noise adds to it in proportion to 1 / b,
 * λ(b) = λ₁ (1 + B / b), of which λ₁ and B follow by a line through λ(b) over 1 / b. Below B the best learning rate grows with the
 * batch size, above hardly: pass it to `scaleLearningRate(rate, { from, to, scaling: { critical } })`.
 *
 * ```ts
 * import { criticalBatchSize } from 'fallline'
 *
 * console.log(criticalBatchSize([{ batchSize: 32, largest: 9 }, { batchSize: 128, largest: 3 }])) // { critical: 256, curvature: 1 }
 * ```
 *
 * The form is that of a spiked random matrix (Granziol, Zohren, Roberts 2022, Learning Rates as a Function of Batch Size: A Random
 * Matrix Theory Approach to Neural Network Training, arXiv 2006.09092); it holds where λ₁ stands out from the noise.
 *
 * @throws Error when there are fewer than two different sizes, a number is not above 0, or the curvature does not fall to something
 * above 0 with the batch size.
 */
export function criticalBatchSize(measured: readonly BatchCurvature[]): { critical: number; curvature: number } {
  for (const { batchSize, largest } of measured) {
    if (!(batchSize > 0 && largest > 0 && Number.isFinite(batchSize) && Number.isFinite(largest))) {
      throw new Error(
        `criticalBatchSize: batchSize and largest must be numbers above 0, not ${batchSize} and ${largest}`,
      )
    }
  }
  if (new Set(measured.map(({ batchSize }) => batchSize)).size < 2) {
    throw new Error('criticalBatchSize: curvatures of at least two batch sizes are needed')
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [inverses, curvatures] = [
    measured.map(({ batchSize }) => 1 / batchSize),
    measured.map(({ largest }) => largest),
  ]
  const [x, y] = [mean(inverses), mean(curvatures)]
  const slope =
    mean(inverses.map((each, i) => (each - x) * (curvatures[i]! - y))) / mean(inverses.map((each) => (each - x) ** 2))
  const curvature = y - slope * x
  if (!(slope >= 0 && curvature > 0)) {
    throw new Error(
      `criticalBatchSize: the largest curvature must fall with the batch size, to something above 0; here a line goes to ${curvature}`,
    )
  }
  return { critical: slope / curvature, curvature }
}

/**
 * Sets learning rate and momentum while training, from the spectrum of the Hessian: every `period` steps a few products with it tell
 * the largest and the smallest curvature, from which {@link spectralRates} follow.
 *
 * ```ts
 * import { compile, LanczosLearner, sgd } from 'fallline'
 *
 * const curvatures = [4, 1]
 * const optimizer = await compile(sgd({ learningRate: 0.01, momentum: 0.9 }), { x: [2] })
 * optimizer.parameters.x?.set([1, 1])
 * const learner = new LanczosLearner(optimizer, { period: 10 })
 * for (let step = 0; step < 30; step++) {
 *   await learner.observe((vector) => vector.map((value, i) => value * (curvatures[i] ?? 0)))
 *   optimizer.step({ gradients: { x: curvatures.map((curvature, i) => curvature * (optimizer.parameters.x?.[i] ?? 0)) } })
 * }
 * console.log(optimizer.hyper.learningRate.toFixed(3), optimizer.hyper.momentum.toFixed(3)) // 0.444 0.111
 * ```
 *
 * The products are of all parameters behind one another, in the order of `optimizer.names`, each of a batch that should be the larger
 * the noisier it is. Make the optimizer with a momentum above 0: with 0 it has none to set.
 *
 * Granziol, Zohren, Roberts 2022, Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to Neural Network
 * Training, arXiv 2006.09092.
 */
export class LanczosLearner {
  private readonly optimizer: CompiledOptimizer
  private readonly options: Required<LanczosLearnerOptions>
  private due = 0

  /** @throws Error when an option is unknown or out of range, or the optimizer has no learning rate or momentum to set. */
  constructor(optimizer: CompiledOptimizer, options: LanczosLearnerOptions = {}) {
    checkNames('LanczosLearner', options, ['period', 'products', 'share', 'largestMomentum', 'seed'])
    const { period = 100, products = 20, share = 1, largestMomentum = 0.95, seed = 0 } = options
    checkCounts('LanczosLearner', { period, products })
    if (!(share > 0 && share <= 1)) {
      throw new Error(`LanczosLearner: share must be a number above 0 and at most 1, not ${String(share)}`)
    }
    checkMomentum('LanczosLearner', largestMomentum)
    const missing = ['learningRate', 'momentum'].find((name) => optimizer.hyper[name] === undefined)
    if (missing)
      throw new Error(`LanczosLearner: the optimizer has no ${missing} to set; one that has is sgd({ momentum: 0.9 })`)
    this.optimizer = optimizer
    this.options = { period, products, share, largestMomentum, seed }
  }

  /**
   * Call it before every step. When a measurement is due, it sets learning rate and momentum and gives them.
   * @param product the Hessian of the loss where the parameters stand, times a vector.
   * @throws Error as `lanczos` and {@link spectralRates} do; the rates are as they were then.
   */
  async observe(product: SymmetricProduct): Promise<SpectralRates | undefined> {
    const { optimizer, options } = this
    if (optimizer.steps < this.due) return undefined
    const size = joinedSize(optimizer.parameters)
    // The smallest curvature is known last, so all products are taken.
    const spectrum = await lanczos(product, size, {
      products: options.products,
      tolerance: 0,
      seed: options.seed + optimizer.steps,
    })
    const best = spectralRates(spectrum, options)
    // A momentum that once was above 0 cannot become 0.
    const rates = { learningRate: options.share * best.learningRate, momentum: Math.max(best.momentum, Number.EPSILON) }
    optimizer.set(rates)
    this.due = optimizer.steps + options.period
    return rates
  }
}
