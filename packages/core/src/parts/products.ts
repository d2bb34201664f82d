import type { Value } from '../language/value.ts'

/** The products of all pairs, over all tensors. */
export function gram(gradients: readonly Value[]): Value[][] {
  const products: Value[][] = gradients.map(() => [])
  gradients.forEach((a, i) => {
    gradients.slice(0, i + 1).forEach((b, j) => {
      const product = a.times(b).sum('all')
      products[i]![j] = product
      products[j]![i] = product
    })
  })
  return products
}

/** Σ weightᵢ gᵢ. */
export function combine(gradients: readonly Value[], weights: readonly Value[]): Value {
  return gradients.map((gradient, i) => gradient.times(weights[i]!)).reduce((sum, term) => sum.plus(term))
}
