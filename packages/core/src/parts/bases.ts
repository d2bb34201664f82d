import type { RandomArrays } from '../language/definition.ts'
import { svd } from '../language/factorizations.ts'
import type { Value } from '../language/value.ts'
import { descending } from './ordered.ts'

/**
 * How a subspace of the rows of a matrix is found: by its first left singular vectors, as `rank` rows chosen evenly at random, as those
 * of the largest norm, or as rows drawn with the probability of their norm, none twice.
 */
export const subspaces = ['singular', 'random', 'largest', 'proportional'] as const

/** A basis, as columns, of a subspace of the rows of a matrix. Bases of chosen rows are columns of the identity. */
export function basisOf(
  x: Value,
  rank: number,
  subspace: (typeof subspaces)[number],
  { random, hyper }: { readonly random: RandomArrays; readonly hyper: { readonly seed: Value } },
): Value {
  if (subspace === 'singular') return svd(x).left.firstColumns(rank)
  const drawn = () => random.uniform({ seed: hyper.seed, dimensions: [1, 1, x.rows] })
  // Relative to the largest number, so that float32 holds the squares.
  const squares = () => x.over(x.abs().largest().maximum(1e-36)).square().sum('columns').transposed()
  const scores = {
    random: drawn,
    largest: squares,
    // The largest of log(norm) - log(-log(u)) is drawn with the probability of the norm (Gumbel).
    proportional: () => squares().maximum(1e-36).sqrt().log().minus(drawn().log().negated().log()),
  }[subspace]()
  return descending(scores).firstColumns(rank)
}

/** What of a matrix lies beside the subspace of a basis of orthonormal columns; nothing where the basis is whole. */
export function beside(x: Value, basis: Value, projected: Value): Value {
  return basis.columns === basis.rows ? x.times(0) : x.minus(basis.matmul(projected))
}
