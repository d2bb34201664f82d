import type { RandomArrays } from './definition.ts'
import { qr, type SingularValues, svd } from './factorizations.ts'
import { type Value, where } from './value.ts'

/** Arguments of {@link randomizedSvd}. */
export interface RandomizedSvdArguments {
  /** k: how many singular values, from the largest on. */
  readonly rank: number
  /** p: how many more directions the sketch has, so that it hardly misses one of the first k. Default: 10. */
  readonly oversampling?: number
  /** q: how often the sketch is multiplied by X Xᵀ, which it takes where singular values fall slowly. Default: 2. */
  readonly powerIterations?: number
  /** What draws the sketch: the `random` of a rule. */
  readonly random: RandomArrays
  /** The seed of it, a hyperparameter as declared by `seed()`. */
  readonly seed: Value
  /** Which of the arrays drawn in a step the sketch is. Default: 0. */
  readonly draw?: number
}

/**
 * The first k singular values of a matrix X of m × n and their vectors, batch by batch, from a random sketch of its columns: what `svd`
 * gives, about, for the cost of products with thin matrices.
 *
 * ```text
 * Q R ← X Ω                       Ω: n × (k + p) numbers of N(0, 1)
 * Q R ← X Z, Z R ← Xᵀ Q           q times
 * Ũ S Vᵀ ← Qᵀ X, U ← Q Ũ          the first k of each
 * ```
 *
 * It costs (4 q + 4) (k + p) m n operations and some (k + p)² (m + n), where `svd` takes min(m, n)² max(m, n) many times over. Where k + p is not below the
 * shorter side, nothing is left to save: it is `svd`, cut off at k.
 *
 * No singular value is above that of X. With σ those of X, the error X - Q Qᵀ X has in the mean over Ω a squared Frobenius norm of at most
 * (1 + k / (p - 1)) Σ σⱼ² over j > k without power iterations (Theorem 10.5), and a spectral norm of at most
 * (1 + √(k / (p - 1)) + e √(k + p) / p √(min(m, n) - k))^(1 / (2 q + 1)) σₖ₊₁ with q of them (Corollary 10.10); cutting off at k adds at
 * most σₖ₊₁. A matrix of rank up to k + p is met exactly. Products are in float32 on WebAssembly: what is below 1e-6 of the largest
 * singular value is rounding.
 *
 * The vectors of the shorter side are oriented by their largest number, which is above 0, as those of `svd`. The same numbers are drawn on
 * every backend.
 *
 * Halko, Martinsson, Tropp 2011, Finding Structure with Randomness: Probabilistic Algorithms for Constructing Approximate Matrix
 * Decompositions, arXiv 0909.4061 (Algorithms 4.4 and 5.1).
 *
 * @throws Error when rank, oversampling or powerIterations is not a whole number; the rank is 1 or more, but of an empty matrix 0.
 */
export function randomizedSvd(matrix: Value, settings: RandomizedSvdArguments): SingularValues {
  const { rank, oversampling = 10, powerIterations = 2, random, seed, draw = 0 } = settings
  const { batch, rows, columns } = matrix
  for (const [name, value, least] of [
    ['rank', rank, Math.min(1, rows, columns)],
    ['oversampling', oversampling, 0],
    ['powerIterations', powerIterations, 0],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= least) continue
    throw new Error(`randomizedSvd: ${name} must be a whole number from ${least} up, not ${String(value)}`)
  }
  const width = rank + oversampling
  const first = ({ left, values, right }: SingularValues): SingularValues => ({
    left: left.firstColumns(rank),
    values: values.firstColumns(rank),
    right: right.transposed().firstColumns(rank).transposed(),
  })
  if (width >= Math.min(rows, columns)) return first(svd(matrix))
  const turned = matrix.transposed()
  let { q } = qr(matrix.matmul(random.normal({ seed, draw, dimensions: [batch, columns, width] })))
  for (let iteration = 0; iteration < powerIterations; iteration++) {
    // Orthonormal in between: else rounding would leave the first direction only.
    q = qr(matrix.matmul(qr(turned.matmul(q)).q)).q
  }
  const small = first(svd(q.transposed().matmul(matrix)))
  const left = q.matmul(small.left)
  const shorter = rows <= columns ? left : small.right.transposed()
  const isDown = shorter.negated().largest('rows').isGreaterThan(shorter.largest('rows'))
  const sign = where(isDown, -1, 1)
  return { left: left.times(sign), values: small.values, right: small.right.times(sign.transposed()) }
}
