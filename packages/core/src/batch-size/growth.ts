import { checkCounts } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { GradientStatistics } from './statistics.ts'

/** What a test says of a batch. */
export interface BatchSizeTest {
  /** True when the batch was large enough. */
  readonly passes: boolean
  /** The smallest batch size that would have passed with these statistics; infinite where the mean gradient is 0. */
  readonly batchSize: number
}

/**
 * The norm test: a batch is large enough when the noise of its mean is small beside the mean.
 *
 * ```text
 * variance / b ≤ tolerance² ‖ḡ‖²
 * ```
 *
 * Byrd, Chin, Nocedal, Wu 2012, Sample size selection in optimization methods for machine learning. AdAdaGrad-Norm uses
 * it: Lau, Liu, Kolar 2024, AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods, arXiv 2402.11215.
 *
 * @param tolerance The noise as a share of the mean, above 0; below 1 in the theory.
 */
export function normTest(statistics: GradientStatistics, tolerance: number): BatchSizeTest {
  checkTolerance('normTest', 'tolerance', tolerance)
  return judge(statistics, ratio(statistics.variance, tolerance ** 2 * statistics.squaredNorm))
}

/**
 * The norm test of every element on its own, as AdAdaGrad has it for steps that scale every element: passed when the
 * hardest element passes.
 *
 * ```text
 * Var(gⱼ) / b ≤ tolerance² ḡⱼ²             for all j
 * ```
 *
 * Lau, Liu, Kolar 2024, AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods, arXiv 2402.11215.
 */
export function elementwiseNormTest(statistics: GradientStatistics, tolerance: number): BatchSizeTest {
  checkTolerance('elementwiseNormTest', 'tolerance', tolerance)
  return judge(statistics, statistics.largestRelativeVariance / tolerance ** 2)
}

/**
 * The inner product test with its orthogonality test, which allows smaller batches than the norm test: the mean gradient
 * must be a descent direction with high probability, and not too far off to the side.
 *
 * ```text
 * Var(⟨g, ḡ⟩) / b ≤ innerTolerance² ‖ḡ‖⁴   and   orthogonal variance / b ≤ orthogonalTolerance² ‖ḡ‖²
 * ```
 *
 * Bollapragada, Byrd, Nocedal 2018, Adaptive Sampling Strategies for Stochastic Optimization, arXiv 1710.11258.
 *
 * @param innerTolerance Above 0; 0.9 in the paper.
 * @param orthogonalTolerance Above 0; several times larger.
 */
export function innerProductTest(
  statistics: GradientStatistics,
  innerTolerance: number,
  orthogonalTolerance: number,
): BatchSizeTest {
  checkTolerance('innerProductTest', 'innerTolerance', innerTolerance)
  checkTolerance('innerProductTest', 'orthogonalTolerance', orthogonalTolerance)
  const { squaredNorm, parallelVariance, orthogonalVariance } = statistics
  // Where the mean is 0 so is all variance along and across it, but nothing is known of the direction.
  if (squaredNorm === 0) return judge(statistics, statistics.variance > 0 ? Number.POSITIVE_INFINITY : 0)
  const inner = ratio(parallelVariance, innerTolerance ** 2 * squaredNorm ** 2)
  return judge(statistics, Math.max(inner, ratio(orthogonalVariance, orthogonalTolerance ** 2 * squaredNorm)))
}

function ratio(noise: number, allowed: number): number {
  return noise === 0 ? 0 : noise / allowed
}

function judge({ batchSize }: GradientStatistics, needed: number): BatchSizeTest {
  return { passes: needed <= batchSize, batchSize: Math.max(1, Math.ceil(needed)) }
}

function checkTolerance(caller: string, name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw new Error(`${caller}: ${name} must be a number above 0, not ${String(value)}`)
  }
}

export interface BatchSizeGrowthOptions {
  /** The first batch size. */
  readonly initial: number
  /** The largest one. */
  readonly maximum: number
  /** What a batch must pass, such as `(statistics) => normTest(statistics, 0.5)`. */
  readonly test: (statistics: GradientStatistics) => BatchSizeTest
  /** Batch sizes are multiples of this, such as the number of devices; default 1. */
  readonly multipleOf?: number
}

/**
 * Grows the batch size during training: after a batch that fails its test the next one has the size that would have
 * passed. It never shrinks.
 *
 * ```ts
 * import { adaGradNorm, BatchSizeGrowth, compile, gradientStatistics, normTest } from 'fallline'
 *
 * const optimizer = await compile(adaGradNorm(), { weights: [2] })
 * const growth = new BatchSizeGrowth({ initial: 2, maximum: 64, test: (batch) => normTest(batch, 0.5) })
 * const examples = [[1, 2], [3, -2]] // the gradients of growth.batchSize examples
 * optimizer.step({ gradients: { weights: [2, 0] } })
 * console.log(growth.observe(gradientStatistics(examples))) // 10
 * ```
 *
 * With `adaGradNorm` and `normTest` it is AdAdaGrad-Norm, with AdaGrad and `elementwiseNormTest` AdAdaGrad (Lau, Liu,
 * Kolar 2024, arXiv 2402.11215).
 */
export class BatchSizeGrowth {
  private readonly options: BatchSizeGrowthOptions
  private size: number

  /** @throws Error when a size is not a whole number, or the maximum is below the first size. */
  constructor(options: BatchSizeGrowthOptions) {
    checkNames('BatchSizeGrowth', options, ['initial', 'maximum', 'test', 'multipleOf'])
    const { initial, maximum, test, multipleOf = 1 } = options
    checkCounts('BatchSizeGrowth', { initial, maximum, multipleOf })
    if (maximum < initial) {
      throw new Error(`BatchSizeGrowth: maximum must be at least initial, ${initial}, not ${maximum}`)
    }
    if (typeof test !== 'function') {
      throw new Error(`BatchSizeGrowth: test must be a function of the statistics, not ${String(test)}`)
    }
    this.options = options
    this.size = initial
  }

  /** How many examples the next batch should have. */
  get batchSize(): number {
    return this.size
  }

  /** Takes the statistics of a batch; returns the size of the next one. */
  observe(statistics: GradientStatistics): number {
    const { maximum, test, multipleOf = 1 } = this.options
    const found = test(statistics)
    if (!found.passes && found.batchSize > this.size) {
      this.size = Math.min(maximum, Math.ceil(found.batchSize / multipleOf) * multipleOf)
    }
    return this.size
  }
}
