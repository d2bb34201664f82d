import type { Value } from '../language/value.ts'

/**
 * The corrected gradient of MARS, `g + γ β1 / (1 - β1) (g - previous)`, scaled down to a norm of at most 1 over the tensor
 * (Yuan, Liu, Wu, Zhou, Gu 2024, arXiv 2411.10438).
 */
export function varianceReduced(g: Value, previous: Value, gamma: Value, beta1: Value): Value {
  const corrected = g.plus(g.minus(previous).times(gamma.times(beta1).over(beta1.negated().plus(1))))
  // Infinity divided by the norm would not be a number.
  const finite = corrected.limitedInSize()
  return finite.over(finite.norm().maximum(1))
}
