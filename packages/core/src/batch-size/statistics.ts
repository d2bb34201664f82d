import { checkCounts } from '../language/check-options.ts'

/** What one batch says about the noise of its gradient: all that the tests of batch sizes need. */
export interface GradientStatistics {
  /** How many examples the batch has. */
  readonly batchSize: number
  /** ‖ḡ‖², the mean gradient squared. */
  readonly squaredNorm: number
  /** Σ ‖gᵢ - ḡ‖² / (n - 1): the variance of one example's gradient, summed over all elements. */
  readonly variance: number
  /** Σ (⟨gᵢ, ḡ⟩ - ‖ḡ‖²)² / (n - 1): the variance along the mean gradient, times ‖ḡ‖². */
  readonly parallelVariance: number
  /** Σ ‖gᵢ - (⟨gᵢ, ḡ⟩ / ‖ḡ‖²) ḡ‖² / (n - 1): the variance across the mean gradient; 0 where ḡ is 0. */
  readonly orthogonalVariance: number
  /** The largest Var(gⱼ) / ḡⱼ² over elements j: 0 / 0 counts as 0, and it is infinite where only ḡⱼ is 0. */
  readonly largestRelativeVariance: number
}

/**
 * Statistics of a batch from the gradients of its examples, or of equally large parts of it, such as the devices' shares
 * or the micro-batches of accumulated gradients: the mean over m examples varies m times less than one, which is put right.
 *
 * ```ts
 * import { gradientStatistics } from 'fallline'
 *
 * const { squaredNorm, variance } = gradientStatistics([[1, 0], [3, 2]], { examplesPerGradient: 16 })
 * console.log(squaredNorm, variance) // 5 64
 * ```
 *
 * @param gradients One flat gradient for each example or part, all tensors behind one another; at least two.
 * @throws Error when there are fewer than two gradients, or they differ in length.
 */
export function gradientStatistics(
  gradients: readonly ArrayLike<number>[],
  { examplesPerGradient = 1 }: { readonly examplesPerGradient?: number } = {},
): GradientStatistics {
  const count = gradients.length
  if (count < 2) throw new Error(`gradientStatistics: a variance needs at least 2 gradients, not ${count}`)
  checkCounts('gradientStatistics', { examplesPerGradient })
  const { length } = gradients[0]!
  const wrong = gradients.findIndex((gradient) => gradient.length !== length)
  if (wrong > 0) {
    throw new Error(
      `gradientStatistics: gradient ${wrong + 1} has ${gradients[wrong]!.length} numbers, the first one ${length}`,
    )
  }
  const mean = new Float64Array(length)
  for (const gradient of gradients) for (let j = 0; j < length; j++) mean[j]! += gradient[j]! / count
  const squaredNorm = dot(mean, mean)
  const spread = new Float64Array(length)
  let [parallel, orthogonal] = [0, 0]
  for (const gradient of gradients) {
    const along = dot(gradient, mean)
    const share = squaredNorm > 0 ? along / squaredNorm : 0
    parallel += (along - squaredNorm) ** 2
    for (let j = 0; j < length; j++) {
      spread[j]! += (gradient[j]! - mean[j]!) ** 2
      if (squaredNorm > 0) orthogonal += (gradient[j]! - share * mean[j]!) ** 2
    }
  }
  const factor = examplesPerGradient / (count - 1)
  const relative = spread.map((value, j) => (value === 0 ? 0 : (factor * value) / mean[j]! ** 2))
  return {
    batchSize: count * examplesPerGradient,
    squaredNorm,
    variance: factor * spread.reduce((sum, value) => sum + value, 0),
    parallelVariance: factor * parallel,
    orthogonalVariance: factor * orthogonal,
    largestRelativeVariance: relative.reduce((largest, value) => Math.max(largest, value), 0),
  }
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let j = 0; j < a.length; j++) sum += a[j]! * b[j]!
  return sum
}
